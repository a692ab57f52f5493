"""Arithmetic, boolean operators and conditional expressions over abstract values."""

from __future__ import annotations

import ast
import operator
import re
from typing import Any

from . import oracle
from .environments import narrow
from .expressions import any_of, as_size, evaluate, expression_symbol, handles, truth, variable_value
from .joins import elements, join
from .symbols import SymbolInfo
from .values import Alternatives, Array, Late, Opaque, Repeated, Unknown, Value, first_unknown

_BINARY: dict[type, Any] = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
  ast.Div: operator.truediv,
  ast.FloorDiv: operator.floordiv,
  ast.Mod: operator.mod,
  ast.Pow: operator.pow,
  ast.MatMult: operator.matmul,
  ast.LShift: operator.lshift,
  ast.RShift: operator.rshift,
  ast.BitAnd: operator.and_,
  ast.BitOr: operator.or_,
  ast.BitXor: operator.xor,
}
_UNARY: dict[type, Any] = {
  ast.USub: operator.neg,
  ast.UAdd: operator.pos,
  ast.Not: operator.not_,
  ast.Invert: operator.invert,
}


@handles(ast.BinOp)
def _binop(it: Any, node: ast.BinOp, frame: Any) -> Value:
  left, right = evaluate(it, node.left, frame), evaluate(it, node.right, frame)
  return binary(it, type(node.op), left, right, node)


def binary(it: Any, op: type, left: Value, right: Value, node: ast.expr) -> Value:
  """Returns `left op right`."""
  if isinstance(left, Alternatives):
    return any_of(it, left, lambda option: binary(it, op, option, right, node))
  if isinstance(right, Alternatives):
    return any_of(it, right, lambda option: binary(it, op, left, option, node))
  unknown = first_unknown((left, right))
  if unknown is not None:
    return unknown
  left, right = variable_value(left), variable_value(right)
  if isinstance(left, Array) or isinstance(right, Array):
    return _array_binary(it, op, left, right, node)
  if isinstance(left, Late) or isinstance(right, Late):
    return late_of((left, right), node)
  if op is ast.Mult and (repeated := _repeated(it, left, right)) is not None:
    return repeated
  if isinstance(left, (Opaque,)) or isinstance(right, Opaque):
    return _opaque_binary(it, op, left, right, node)
  if (
    isinstance(left, (list, tuple, Repeated)) and isinstance(right, (list, tuple, Repeated)) and op is ast.Add
  ):
    if isinstance(left, Repeated) or isinstance(right, Repeated):
      items = elements(left) + elements(right)
      return Repeated(items[-1], None, tuple(items))
  try:
    return _BINARY[op](left, right)
  except Exception:
    if oracle.is_dim(left) and oracle.is_dim(right):
      return expression_symbol(it, node)
    if isinstance(left, (int, float)) or isinstance(right, (int, float)) or oracle.is_symbolic(left):
      return Opaque(ast.unparse(node), 'float' if op is ast.Div else 'any')
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)


def _array_binary(it: Any, op: type, left: Value, right: Value, node: ast.expr) -> Value:
  values = tuple(
    Array(()) if isinstance(value, Late) or (isinstance(value, Opaque) and value.kind != 'int') else value
    for value in (left, right)
  )
  try:
    return oracle.trace(lambda pair: _BINARY[op](pair[0], pair[1]), values, key=('binary', op.__name__))
  except oracle.OracleFailure as error:
    if op is not ast.MatMult and all(isinstance(value, Array) for value in values):
      unified = unify(it, values, node.lineno)
      if unified is not None:
        return unified
    if op is ast.MatMult:
      from .contractions import contracted
      fitted = contracted(it, 'operator.matmul', (values, {}), node.lineno)
      if fitted is not None:
        return fitted
    return Unknown(str(error), node.lineno)


def unify(it: Any, arrays: Any, line: int) -> Array | None:
  """Returns the result of an elementwise operation whose operands only fit if their sizes are equal.

  The original program fails where they are not, so taking them as equal changes nothing that runs.
  """
  rank = max(len(array.shape) for array in arrays)
  shapes = [(1,) * (rank - len(array.shape)) + tuple(array.shape) for array in arrays]
  dims = []
  for column in zip(*shapes):
    choices = [dim for dim in column if not (isinstance(dim, int) and dim == 1)]
    fixed = [dim for dim in choices if isinstance(dim, int)]
    if len(set(fixed)) > 1:
      return None
    it.table.taken_equal(choices)
    dims.append(fixed[0] if fixed else (min(choices, key=lambda dim: preference(it, dim)) if choices else 1))
  it.note(line, 'the operands are added or multiplied, so their sizes were taken as equal')
  return Array(tuple(dims), arrays[0].dtype)


def preference(it: Any, dim: Any) -> tuple[int, int, str]:
  """Sizes known from fields are preferred to sizes of inputs, short expressions to long ones."""
  order = {'field': 0, 'local': 1, 'carried': 2, 'input': 3, 'phi': 4, 'opaque': 6}
  infos = [
    it.table.info(name)
    for name in re.findall(r'[A-Za-z]\w*', oracle.text_of(dim))
    if name not in ('floordiv', 'mod', 'max', 'min')
  ]
  worst = max((order.get(info.kind, 5) if info is not None else 5 for info in infos), default=0)
  return (worst, len(oracle.text_of(dim)), oracle.text_of(dim))


def late_of(values: tuple[Value, ...], node: ast.expr) -> Late:
  names = frozenset().union(*(value.names for value in values if isinstance(value, Late)))
  return Late(names, ast.unparse(node))


def _opaque_binary(it: Any, op: type, left: Value, right: Value, node: ast.expr) -> Value:
  pair = tuple(as_size(it, value) if _may_be_int(value) else value for value in (left, right))
  if op is not ast.Div and all(oracle.is_dim(value) for value in pair):
    try:
      return _BINARY[op](*pair)
    except Exception:
      return expression_symbol(it, node)
  if isinstance(left, (tuple, list)) or isinstance(right, (tuple, list)):
    return Opaque(ast.unparse(node), 'sequence', element='int')
  kind = 'str' if isinstance(left, str) or isinstance(right, str) else 'float'
  return Opaque(ast.unparse(node), kind)


def _repeated(it: Any, left: Value, right: Value) -> Value:
  """`(x,) * n` for a length that is not known: a list whose elements all look alike."""
  if isinstance(right, (list, tuple)):
    left, right = right, left
  if (
    not isinstance(left, (list, tuple))
    or not left
    or isinstance(right, int)
    or not oracle.is_symbolic(as_size(it, right))
  ):
    return None
  element = left[0]
  for item in left[1:]:
    element = join(element, item, None, it.table, 'element')
  return Repeated(element, None, tuple(left))


def _may_be_int(value: Value) -> bool:
  return isinstance(value, Opaque) and value.kind in ('any', 'int')


@handles(ast.UnaryOp)
def _unary(it: Any, node: ast.UnaryOp, frame: Any) -> Value:
  value = variable_value(evaluate(it, node.operand, frame))
  if isinstance(value, Unknown):
    return value
  if isinstance(value, Late):
    return late_of((value,), node)
  if isinstance(node.op, ast.Not):
    answer = truth(it, value)
    return (not answer) if answer is not None else Opaque(ast.unparse(node), 'bool')
  if isinstance(value, Opaque):
    value = as_size(it, value)
    if isinstance(value, Opaque):
      return Opaque(ast.unparse(node), value.kind)
  if isinstance(value, Array):
    return value
  try:
    return _UNARY[type(node.op)](value)
  except Exception:
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)


@handles(ast.BoolOp)
def _boolop(it: Any, node: ast.BoolOp, frame: Any) -> Value:
  values: list[Value] = []
  for item in node.values:
    value = evaluate(it, item, frame)
    answer = truth(it, value)
    if isinstance(node.op, ast.Or) and answer is True and not values:
      return value
    if isinstance(node.op, ast.And) and answer is False:
      return value
    if answer is None or isinstance(value, (Late, Opaque)):
      values.append(value)
    elif isinstance(node.op, ast.Or) and answer is True:
      values.append(value)
      break
  if not values:
    return value
  if any(isinstance(value, Late) for value in values):
    return late_of(tuple(values), node)
  if (
    isinstance(node.op, ast.Or)
    and len(values) > 1
    and not all(isinstance(value, Opaque) and value.kind == 'bool' for value in values)
  ):
    return _or_value(it, values, node)
  return values[0] if len(values) == 1 and len(node.values) == 1 else Opaque(ast.unparse(node), 'bool')


def _or_value(it: Any, values: list[Value], node: ast.BoolOp) -> Value:
  """`self.out or x.shape[-1]`: the first value if it is true; a width that a caller gives is."""
  info = it.table.info(str(values[0])) if oracle.is_symbolic(values[0]) else None
  if info is not None and info.kind in ('field', 'input') and not it.table.home:
    return values[0]
  sizes = [as_size(it, value) for value in values]
  if all(oracle.is_dim(size) for size in sizes):
    result = sizes[-1]
    for size, test in zip(reversed(sizes[:-1]), reversed(node.values[:-1])):
      result = it.table.new('size_or', SymbolInfo('phi', test=test, then=size, orelse=result))
    return result
  last = values[-1]
  return last if not isinstance(last, Opaque) else Opaque(ast.unparse(node), 'any')


@handles(ast.IfExp)
def _ifexp(it: Any, node: ast.IfExp, frame: Any) -> Value:
  answer = truth(it, evaluate(it, node.test, frame))
  if answer is not None:
    return evaluate(it, node.body if answer else node.orelse, frame)
  saved, path = frame.env, frame.path
  frame.env, frame.path = narrow(node.test, True, saved), (*path, (node, 'body'))
  then = evaluate(it, node.body, frame)
  frame.env, frame.path = narrow(node.test, False, saved), (*path, (node, 'orelse'))
  orelse = evaluate(it, node.orelse, frame)
  frame.env, frame.path = saved, path
  if oracle.is_dim(then) or oracle.is_dim(orelse):
    then, orelse = as_size(it, then), as_size(it, orelse)
  return join(then, orelse, node.test, it.table, 'size')
