"""What a method may be called with: flags, optional arguments, and arrays of a guessed rank."""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any

from . import oracle
from .keys import NoKey, memory_key
from .symbols import SymbolInfo
from .values import Array, Late, Opaque, Unknown, Value

FLAGS = (
  'train',
  'training',
  'is_training',
  'is_train',
  'deterministic',
  'decode',
  'eval',
  'evaluate',
  'inference',
  'test',
  'use_running_average',
  'enable_dropout',
  'use_dropout',
  'init_cache',
  'output_attentions',
  'output_hidden_states',
  'return_dict',
  'prefill',
  'mode',
  'update_batch_stats',
  'causal',
  'return_attention',
)
_INTEGERS = re.compile(
  r'(^|_)(ids?|idx|index|indices|tokens?|labels?|inputs_ids|actions?_id|positions?|segments?|timesteps?)($|_)'
)
_RANKS = (3, 4, 2, 1, 5)


@dataclasses.dataclass(frozen=True)
class Parameter:
  """One parameter of a method, after `self`.

  role: 'array', 'flag' (known only at the call, no array) or 'optional' (an array or None).
  """

  name: str
  role: str
  rank: int | None = None
  dtype: str = 'float32'
  optional: bool = False


@functools.cache
def parameters(node: ast.FunctionDef, skip_first: bool = True) -> list[Parameter]:
  """Returns the parameters of a method with their roles."""
  arguments = node.args
  positional = [*arguments.posonlyargs, *arguments.args][1 if skip_first else 0 :]
  defaults = dict(zip([argument.arg for argument in reversed(positional)], reversed(arguments.defaults)))
  for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
    if default is not None:
      defaults[argument.arg] = default
  result = []
  for argument in (*positional, *arguments.kwonlyargs):
    result.append(_parameter(node, argument, defaults.get(argument.arg)))
  if result and result[0].role == 'optional':
    # A first argument that may be None by its default is the input all the same.
    result[0] = dataclasses.replace(result[0], role='array', optional=False)
  return result


def _parameter(node: ast.FunctionDef, argument: ast.arg, default: ast.expr | None) -> Parameter:
  name = argument.arg
  annotation = ast.unparse(argument.annotation) if argument.annotation is not None else ''
  is_none = isinstance(default, ast.Constant) and default.value is None
  if _is_flag(node, name, annotation, default):
    return Parameter(name, 'flag', optional=is_none)
  if _is_key(node, name):
    return Parameter(name, 'array', 0, 'key')
  dtype = 'int32' if _INTEGERS.search(name) else 'float32'
  rank = _rank(node, name, annotation)
  if is_none:
    return Parameter(name, 'optional', rank, dtype, True)
  return Parameter(name, 'array', rank, dtype)


def _is_key(node: ast.FunctionDef, name: str) -> bool:
  """A parameter that is the first argument of a function of jax.random is a random key."""
  for child in ast.walk(node):
    if (
      isinstance(child, ast.Call)
      and child.args
      and isinstance(child.args[0], ast.Name)
      and child.args[0].id == name
    ):
      if re.fullmatch(r'(jax\.)?(random|jr)\.(?!PRNGKey|key)\w+', ast.unparse(child.func)):
        return True
  return False


def _is_flag(node: ast.FunctionDef, name: str, annotation: str, default: ast.expr | None) -> bool:
  if (
    re.search(r'\b(bool|int|str|float|Callable)\b', annotation)
    and 'Array' not in annotation
    and 'ndarray' not in annotation
  ):
    return True
  if isinstance(default, ast.Constant) and default.value is not None:
    return isinstance(default.value, (bool, int, float, str))
  if name in FLAGS:
    return True
  return default is None and not annotation and _used_as_flag(node, name)


def _used_as_flag(node: ast.FunctionDef, name: str) -> bool:
  for child in ast.walk(node):
    if (
      isinstance(child, ast.UnaryOp)
      and isinstance(child.op, ast.Not)
      and isinstance(child.operand, ast.Name)
      and child.operand.id == name
    ):
      return True
    if isinstance(child, (ast.If, ast.IfExp)) and isinstance(child.test, ast.Name) and child.test.id == name:
      return True
    if (
      isinstance(child, ast.keyword)
      and child.arg in FLAGS
      and isinstance(child.value, ast.Name)
      and child.value.id == name
    ):
      return True
  return False


def _rank(node: ast.FunctionDef, name: str, annotation: str) -> int | None:
  text = re.search(r"""Array, ['"]([^'"]*)['"]""", annotation)
  if text and '...' not in text.group(1) and '*' not in text.group(1):
    return len(text.group(1).split())
  told = _told(node, name)
  if told is not None:
    return told
  for child in ast.walk(node):
    if (
      isinstance(child, ast.Assign)
      and isinstance(child.targets[0], ast.Tuple)
      and ast.unparse(child.value) in (f'{name}.shape', f'jnp.shape({name})')
    ):
      if not any(isinstance(item, ast.Starred) for item in child.targets[0].elts):
        return len(child.targets[0].elts)
    if isinstance(child, ast.Compare) and len(child.ops) == 1 and isinstance(child.ops[0], ast.Eq):
      if ast.unparse(child.left) in (f'{name}.ndim', f'len({name}.shape)') and isinstance(
        child.comparators[0], ast.Constant
      ):
        value = child.comparators[0].value
        return value if isinstance(value, int) else None
  return None


def _told(node: ast.FunctionDef, name: str) -> int | None:
  """Returns the rank that the docstring gives: `x (tensor): Image of shape [N, H, W, C].`"""
  text = ast.get_docstring(node) or ''
  line = re.search(rf'^\s*{name}\b[^\n]*:[^\n]*shape *[\[(]([^\])]*)[\])]', text, re.MULTILINE)
  if line is None or not re.fullmatch(r"[\w' */+-]+(, *[\w' */+-]+)*,?", line.group(1)) or '**' in line.group(1):
    return None
  axes = [part for part in line.group(1).split(',') if part.strip()]
  return None if any(part.strip().startswith('*') for part in axes) else len(axes)


# -- bindings ------------------------------------------------------------------------------------


def attempts(
  it: Any, method: str, listed: list[Parameter], evidence: list[dict[str, Value]]
) -> Iterator[dict[str, Value]]:
  """Yields argument values to try, the most trustworthy first and none twice."""
  seen: set[Any] = set()
  for bound in _plausible(it, method, listed, evidence):
    try:
      key = memory_key(bound)
    except NoKey:
      key = len(seen)
    if key not in seen:
      seen.add(key)
      yield bound


def _plausible(
  it: Any, method: str, listed: list[Parameter], evidence: list[dict[str, Value]]
) -> Iterator[dict[str, Value]]:
  names = [parameter.name for parameter in listed if parameter.role == 'array']
  followed = [
    call
    for call in evidence
    if not any(isinstance(call.get(name), Unknown) and not call[name].soft for name in names)
  ]
  for call in followed[:3]:
    yield from_evidence(it, method, listed, call)
  arrays = [parameter for parameter in listed if parameter.role == 'array' and parameter.dtype != 'key']
  ranks: tuple[int, ...] = _RANKS
  if arrays and all(parameter.rank for parameter in arrays):
    ranks = (arrays[0].rank or 3,)
  # Sizes are taken to be shared only where the code fails without: a shared size is written for both.
  shared = ('batch', 'middle', 'all') if len(arrays) > 1 else ('middle',)
  for rank, same in itertools.product(ranks, shared):
    if rank == 4 and same == shared[0] and len(arrays) > 1:
      yield from _images(it, method, listed, arrays)
    yield {parameter.name: _guess(it, method, parameter, rank, arrays, same) for parameter in listed}
    if arrays and any(parameter.role == 'optional' for parameter in listed):
      yield {parameter.name: _present(it, method, parameter, rank, arrays[0])
             if parameter.role == 'optional' else _guess(it, method, parameter, rank, arrays, same)
             for parameter in listed}
    if any('mask' in parameter.name for parameter in arrays[1:]):
      yield {
        parameter.name: Unknown(f'argument {parameter.name} may be None', 0, soft=True)
        if parameter.role == 'array' and 'mask' in parameter.name and parameter is not arrays[0]
        else _guess(it, method, parameter, rank, arrays, same)
        for parameter in listed
      }


def _guess(
  it: Any, method: str, parameter: Parameter, rank: int, arrays: list[Parameter], same: str
) -> Value:
  if parameter.role == 'flag':
    return Late(frozenset({parameter.name}), parameter.name, parameter.optional)
  if parameter.role == 'optional' and (parameter.rank is None or parameter.rank == 0):
    return Unknown(f'argument {parameter.name} may be absent', 0, soft=True)
  if parameter.dtype == 'key':
    return Array((), 'key')
  rank = parameter.rank or (min(rank, 2) if parameter.dtype == 'int32' or 'mask' in parameter.name else rank)
  first = arrays[0]
  dims = []
  for axis in range(rank):
    last = axis == rank - 1
    shares = same == 'all' or (same == 'middle' and not last)
    owner = first if shares and first.rank in (None, rank) else parameter
    if axis == 0 and not last:
      owner = first
    dims.append(input_symbol(it, method, owner.name, axis, rank))
  return Array(tuple(dims), parameter.dtype, optional=parameter.role == 'optional')


def _images(
  it: Any, method: str, listed: list[Parameter], arrays: list[Parameter]
) -> Iterator[dict[str, Value]]:
  """Yields images with what they are conditioned on: vectors, and then sequences behind them."""
  first = arrays[0]
  if first.rank not in (None, 4) or first.dtype == 'int32':
    return
  for tail in ((2, 2), (2, 3), (3, 3)):
    ranks = {parameter.name: tail[min(place, 1)] for place, parameter in enumerate(arrays[1:])}
    yield {
      parameter.name: _guess(it, method, parameter, ranks.get(parameter.name, 4), [parameter], 'batch')
      for parameter in listed
    }


def _present(it: Any, method: str, parameter: Parameter, rank: int, first: Parameter) -> Value:
  """Returns an optional array as one that is there; what looks like ids or a mask has the leading sizes of the input."""
  small = parameter.dtype == 'int32' or 'mask' in parameter.name
  own = parameter.rank or (min(rank, 2) if small else rank)
  first_rank = first.rank or (min(rank, 2) if first.dtype == 'int32' or 'mask' in first.name else rank)
  dims = []
  for axis in range(own):
    shared = axis < first_rank and (axis == 0 or small)
    dims.append(input_symbol(it, method, first.name if shared else parameter.name, axis, first_rank if shared else own))
  return Array(tuple(dims), parameter.dtype, optional=True)


def input_symbol(it: Any, method: str, argument: str, axis: int, rank: int) -> Any:
  """Returns the symbol for one axis of a call argument."""
  info = SymbolInfo('input', argument=argument, axis=axis, rank=rank, method=method)
  return it.table.new(f'{argument}_{axis - rank if axis == rank - 1 else axis}'.replace('-1', 'last'), info)


def from_evidence(it: Any, method: str, listed: list[Parameter], call: dict[str, Value]) -> dict[str, Value]:
  """Returns argument values shaped like an observed call, in symbols of this class."""
  seen: dict[str, Any] = {}
  return {
    parameter.name: _translate(it, method, parameter, call.get(parameter.name), parameter.name in call, seen)
    for parameter in listed
  }


def _translate(
  it: Any, method: str, parameter: Parameter, value: Value, given: bool, seen: dict[str, Any]
) -> Value:
  if isinstance(value, Array):
    rank = len(value.shape)
    dims = []
    for axis, dim in enumerate(value.shape):
      key = str(dim) if oracle.is_symbolic(dim) else f'{dim}@{axis - rank}'
      if key not in seen:
        seen[key] = input_symbol(it, method, parameter.name, axis, rank)
      dims.append(seen[key])
    return Array(tuple(dims), value.dtype, parameter.optional or value.optional)
  if parameter.role == 'flag':
    return Late(frozenset({parameter.name}), parameter.name, parameter.optional)
  if isinstance(value, (tuple, list)) and value and all(isinstance(item, Array) for item in value):
    inner = [
      _translate(it, method, dataclasses.replace(parameter, name=f'{parameter.name}'), item, True, {})
      for item in value
    ]
    return type(value)(
      Array(
        tuple(it.table.new(f'{parameter.name}_{i}', SymbolInfo('opaque')) for i in range(len(item.shape))),
        item.dtype,
      )
      for item in inner
    )
  if parameter.role == 'optional' or value is None:
    return Unknown(f'argument {parameter.name} may be absent', 0, soft=True)
  if isinstance(value, Opaque) and value.kind in ('bool', 'float', 'str', 'int', 'callable'):
    return Late(frozenset({parameter.name}), parameter.name)
  return value if isinstance(value, Unknown) else Unknown(f'argument {parameter.name} is no array', 0)
