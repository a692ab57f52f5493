"""The catalogue of causes: what differs between two expressions, in words a user understands."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from migrator.equivalence.proof.explain import show
from migrator.equivalence.proof.table import Node, Table

Cause = Callable[[Table, int, int, int | None], str | None]
# What an operation is called by those who write models.
WORDS = {'max': 'a maximum (relu)', 'tanh': 'tanh', 'erf': 'erf (exact gelu)', 'erfc': 'erf (exact gelu)',
         'logistic': 'sigmoid', 'dot_general': 'a matrix product', 'conv_general_dilated': 'a convolution',
         'select_n': 'a choice by mask', 'reduce_max': 'a maximum over axes', 'reduce_sum': 'a sum over axes',
         'convert_element_type': 'a conversion of dtype', 'add': 'a sum', 'mul': 'a product', 'sub': 'a difference',
         'div': 'a quotient', 'concatenate': 'a concatenation', 'transpose': 'a transposition',
         'draw': 'a random key', 'random_bits': 'random numbers', 'gather': 'a lookup', 'scan_final': 'a loop',
         'loop_stack': 'a loop', 'reduce_window_max': 'max pooling', 'reduce_window_sum': 'average pooling',
         'logsumexp': 'logsumexp', 'exp': 'exp', 'log': 'log', 'rsqrt': 'an inverse square root', 'sqrt': 'a square root'}
INPUTS = {'variables': 'variable', 'inputs': 'input', 'weights': 'the gradient of the output'}
CONSTANT_IN = {'add': 'added constant (such as an epsilon)', 'mul': 'factor', 'div': 'divisor', 'max': 'lower bound',
               'lt': 'limit', 'pow': 'power', 'sub': 'subtracted constant'}


def cause(table: Table, linen: int, nnx: int, around: int | None = None) -> str:
  """Returns what differs.  around: the expression that has `linen` as an operand."""
  found = next((words for rule in CATALOGUE if (words := rule(table, linen, nnx, around))), None)
  return found or f'{show(table, linen)} in Linen, {show(table, nnx)} in NNX'


def constants(table: Table, linen: int, nnx: int, around: int | None) -> str | None:
  """Other numbers: an epsilon, a momentum, a rate."""
  left, right = table.scalar_of(linen), table.scalar_of(nnx)
  if left is None or right is None:
    return None
  left, right = left[()], right[()]
  if left.dtype != right.dtype:
    return f'{left!s} as {left.dtype} in Linen, {right!s} as {right.dtype} in NNX'
  what = CONSTANT_IN.get(table.nodes[around].op, '') if around is not None else ''
  return f'{what}: {left!s} in Linen, {right!s} in NNX'.removeprefix(': ')


def gelu(table: Table, linen: int, nnx: int, around: int | None) -> str | None:
  """The two forms of gelu."""
  ops = [{table.nodes[number].op, *(table.nodes[arg].op for arg in table.nodes[number].args)} for number in (linen, nnx)]
  exact = [bool(found & {'erf', 'erfc'}) for found in ops]
  tanh = ['tanh' in found for found in ops]
  if exact[0] and tanh[1]:
    return 'exact gelu in Linen, tanh approximation in NNX'
  return 'tanh approximation of gelu in Linen, exact in NNX' if tanh[0] and exact[1] else None


def inputs(table: Table, linen: int, nnx: int, around: int | None) -> str | None:
  """Another variable, or the output of another module."""
  names = [_source(table.nodes[number]) for number in (linen, nnx)]
  return f'{names[0]} in Linen, {names[1]} in NNX' if all(names) else None


def parameters(table: Table, linen: int, nnx: int, around: int | None) -> str | None:
  """The same operation with another parameter: padding, axes, strides, precision."""
  left, right = table.nodes[linen], table.nodes[nnx]
  if left.op != right.op or left.params == right.params or left.op in ('const', 'data', 'input'):
    return None
  name = WORDS.get(left.op, left.op)
  if _is_named(left.params) and _is_named(right.params):
    other = dict(right.params)
    changed = [(key, value, other.get(key)) for key, value in left.params if other.get(key) != value]
    words = '; '.join(f'{key.replace("_", " ")} {value} in Linen, {theirs} in NNX' for key, value, theirs in changed)
    return f'{name}: {words}' if words else None
  if left.op in ('scan_final', 'loop_stack', 'while_final'):
    return f'{name}: its steps compute other values'
  return f'{name}: {left.params} in Linen, {right.params} in NNX'


def dtypes(table: Table, linen: int, nnx: int, around: int | None) -> str | None:
  """Another dtype or shape."""
  left, right = table.nodes[linen], table.nodes[nnx]
  if left.dtype != right.dtype and left.dtype and right.dtype:
    return f'{left.dtype} in Linen, {right.dtype} in NNX'
  return f'shape {left.shape} in Linen, {right.shape} in NNX' if left.shape != right.shape else None


def operations(table: Table, linen: int, nnx: int, around: int | None) -> str | None:
  """Another operation."""
  left, right = table.nodes[linen].op, table.nodes[nnx].op
  if left == right:
    return None
  names = [_source(table.nodes[number]) or WORDS.get(op, op) for number, op in ((linen, left), (nnx, right))]
  return f'{names[0]} in Linen, {names[1]} in NNX'


def _source(node: Node) -> str:
  """The name of an input, of a module's output, of a draw."""
  if node.op == 'input':
    group, _, rest = str(node.params).partition('/')
    return f'{INPUTS.get(group, group)} {rest}'.strip()
  if node.op == 'border':
    border = node.params[0]
    side = 'the output' if border.way == 'out' else 'the input'
    return f'{side} of {border.path}' if border.kind == 'call' else f'the gradient at {side} of {border.path}'
  if node.op == 'draw' and isinstance(node.params, tuple):
    return f'random key {node.params[2] + 1} of {node.params[0] or "the model"} ({node.params[1]})'
  return ''


def _is_named(params: Any) -> bool:
  return isinstance(params, tuple) and all(isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
                                           for item in params)


CATALOGUE: tuple[Cause, ...] = (constants, gelu, inputs, dtypes, parameters, operations)
