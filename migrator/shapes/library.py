"""Calls of library functions and of methods of arrays: JAX itself gives the result."""

from __future__ import annotations

import ast
import functools
from typing import Any

from . import builtin_calls, oracle
from .contractions import contracted
from .expressions import as_size
from .joins import join
from .listed import of_list
from .neutral import without_neutral
from .reshaping import reshaped
from .values import (
  Alternatives,
  Array,
  Bound,
  ClassRef,
  Closure,
  Instance,
  Late,
  Opaque,
  Repeated,
  Unknown,
  Value,
  VariableRef,
  contains,
  first_unknown,
  like,
)

# Keywords of older JAX versions that code still uses.
_OLD_KEYWORDS = {'jax.numpy.clip': {'a': 'arr', 'a_min': 'min', 'a_max': 'max'}}

_ARRAYS = ('jax.numpy.array', 'jax.numpy.asarray', 'numpy.array', 'numpy.asarray')

# Arguments that change numbers or dtypes, never shapes; JAX wants their concrete value.
_SHAPELESS = ('precision', 'preferred_element_type', 'dtype', 'out_sharding', 'broadcast_dropout')


def array_method(
  it: Any, array: Array, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> Value:
  values = _prepared(it, args, kwargs)
  if isinstance(values, Unknown):
    return values
  if name == 'reshape':
    return reshaped(it, array, values[0], node)
  try:
    return oracle.trace(lambda v: getattr(v[0], name)(*v[1], **v[2]), (array, *values), key=('method', name))
  except oracle.OracleFailure as error:
    return Unknown(f'.{name}: {error}', node.lineno)


def _prepared(it: Any, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Any:
  """Returns arguments the oracle can take, or the Unknown among them."""
  args = tuple(_argument(it, arg) for arg in args)
  kwargs = {
    name: value for name, value in kwargs.items() if not (name in _SHAPELESS and contains(value, Opaque))
  }
  kwargs = {name: _argument(it, value) for name, value in kwargs.items()}
  unknown = first_unknown((*args, *kwargs.values()))
  if unknown is not None:
    return unknown
  return args, kwargs


def _argument(it: Any, value: Value) -> Value:
  if isinstance(value, (tuple, list)):
    return like(value, [_argument(it, item) for item in value])
  if isinstance(value, dict):
    return {name: _argument(it, item) for name, item in value.items()}
  if isinstance(value, VariableRef):
    return value.value
  if isinstance(value, Late):
    return None if value.optional else Array(())
  if isinstance(value, Alternatives):
    return next((option for option in value.options if option is not None), None)
  if isinstance(value, Repeated) and isinstance(value.length, int) and 0 < value.length <= 64:
    return [_argument(it, value.element)] * value.length
  if isinstance(value, Repeated):
    return Unknown('a list of unknown length')
  if isinstance(value, (Closure, ClassRef, Instance, Bound)):
    return Unknown('a local function given to a library function')
  return as_size(it, value)


def library_call(
  it: Any, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call
) -> Value:
  """Asks the oracle for the result of a function of JAX, NumPy, Flax or the standard library."""
  found = of_list(it, node.lineno, name, args, kwargs)
  if found is not None:
    return found
  if _static(args, kwargs) and name.startswith(('numpy.', 'math.', 'operator.')):
    found = builtin_calls.static_call(it, name, args, kwargs, node)
    if not isinstance(found, (Unknown, Opaque)) or not name.startswith('numpy.'):
      return found
    if isinstance(found, Opaque) and all(_is_scalar(arg) for arg in args):
      return found  # a number that fields decide
  if name.startswith('numpy.') and hasattr(oracle.find('jax.numpy'), name.removeprefix('numpy.')):
    name = f'jax.{name}'  # NumPy wants values; shapes are the same
  if name.startswith('flax.linen.'):
    # Flags of Linen functions decide which way they go; an array in their place cannot.
    args = tuple(True if isinstance(arg, Late) and not arg.optional else arg for arg in args)
    kwargs = {
      key: True if isinstance(value, Late) and not value.optional else value for key, value in kwargs.items()
    }
  if name.startswith('jax.random.') and not name.endswith(('.PRNGKey', '.key')):
    args, kwargs = _with_key(args, kwargs)
  if name in _ARRAYS and args and _is_flat(args[0]):
    length = builtin_calls.builtin(it, 'len', args[:1], {}, node, None)
    return Array((length,)) if oracle.is_dim(length) else Unknown('a list of unknown length', node.lineno)
  if name in _ARRAYS and args and isinstance(args[0], Opaque) and args[0].source.endswith(']'):
    return Unknown(f'the shape of {args[0].source} is not known', node.lineno, soft=True)
  if _outside(name) and _static(args, kwargs):
    return Opaque(ast.unparse(node))
  old = _OLD_KEYWORDS.get(name, {})
  kwargs = {old.get(key, key): value for key, value in kwargs.items()}
  args, kwargs = without_neutral(it, name, args, kwargs, node.lineno)
  if args and isinstance(args[0], Alternatives):
    return _each(it, name, args, kwargs, node)
  if name == 'jax.numpy.where' and len(args) == 3 and isinstance(args[0], Unknown):
    args = _unseen_mask(it, args, node)
  values = _prepared(it, args, kwargs)
  if isinstance(values, Unknown):
    return Unknown(
      values.reason if values.line else f'{name}: {values.reason}', values.line or node.lineno, values.soft
    )
  if name in ('jax.numpy.reshape', 'jax.lax.reshape') and values[0] and isinstance(values[0][0], Array):
    shape = (
      *values[0][1:],
      *(value for key, value in values[1].items() if key in ('shape', 'newshape', 'new_sizes')),
    )
    return reshaped(it, values[0][0], shape, node)
  if (
    not contains(values, Array)
    and contains(values, Opaque)
    and not name.startswith(('jax.numpy.', 'jax.random', 'jax.lax'))
  ):
    return Opaque(ast.unparse(node), 'callable' if 'initializers' in name else 'any')
  try:
    return oracle.trace(lambda v: oracle.find(name)(*v[0], **v[1]), values, key=('function', name))
  except oracle.OracleFailure as error:
    if 'initializers' in name:
      return Opaque(ast.unparse(node), 'callable')
    if 'broadcast' in str(error):
      fitted = _broadcast(it, name, values, node.lineno)
      if fitted is not None:
        return fitted
    fitted = contracted(it, name, values, node.lineno)
    return fitted if fitted is not None else Unknown(f'{name}: {error}', node.lineno)
  except TypeError as error:
    return Unknown(f'{name}: {error}', node.lineno)


def _unseen_mask(it: Any, args: tuple[Value, ...], node: ast.Call) -> tuple[Value, ...]:
  text = ast.unparse(node.args[0])[:60] if node.args else 'the mask'
  it.note(node.lineno, f'{text} was taken to fit the arrays it chooses from')
  return (Array((), 'bool'), *args[1:])


def _each(it: Any, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], node: ast.Call) -> Value:
  """Asks for every option of the first argument; one that the function refuses is not the one at hand."""
  options = [option for option in args[0].options if option is not None]
  results = [library_call(it, name, (option, *args[1:]), kwargs, node) for option in options]
  followed = [result for result in results if not isinstance(result, Unknown)] or results
  return functools.reduce(lambda left, right: join(left, right, None, it.table, 'either'), followed)


def _broadcast(it: Any, name: str, values: Any, line: int) -> Value | None:
  """Asks again with one operand of size 1 everywhere, which fits any other.

  Operands that are broadcast against each other have equal sizes wherever the original program runs, so the
  sizes of the others are those of the result.
  """
  args, kwargs = values
  places: list[Any] = [*reversed(list(kwargs)), *reversed(range(len(args)))]
  for place in places:
    operand = kwargs[place] if isinstance(place, str) else args[place]
    if not isinstance(operand, Array) or not operand.shape:
      continue
    unit = Array((1,) * len(operand.shape), operand.dtype)
    changed = (
      (args, {**kwargs, place: unit})
      if isinstance(place, str)
      else ((*args[:place], unit, *args[place + 1 :]), kwargs)
    )
    try:
      result = oracle.trace(lambda v: oracle.find(name)(*v[0], **v[1]), changed, key=('function', name))
    except oracle.OracleFailure:
      continue
    it.note(line, f'the operands of {name} are broadcast, so their sizes were taken as equal')
    return result
  return None


def _with_key(args: tuple[Value, ...], kwargs: dict[str, Value]) -> tuple[tuple[Value, ...], dict[str, Value]]:
  """Takes what is not known, given to a function of jax.random as its key, for a key."""
  if args and isinstance(args[0], Opaque):
    return (Array((), 'key'), *args[1:]), kwargs
  if isinstance(kwargs.get('key'), Opaque):
    return args, {**kwargs, 'key': Array((), 'key')}
  return args, kwargs


def _outside(name: str) -> bool:
  """Tells whether a function belongs to a library that knows nothing of arrays of JAX."""
  try:
    oracle.find(name)
  except oracle.OracleFailure as error:
    return 'outside the libraries' in str(error)
  return False


def _is_flat(value: Value) -> bool:
  """Tells whether a field holds a flat sequence of numbers, judging by its default."""
  return isinstance(value, Opaque) and value.kind == 'sequence' and isinstance(value.default, tuple) and all(
    isinstance(item, (int, float)) for item in value.default
  )


def _is_scalar(value: Value) -> bool:
  return isinstance(value, (int, float, str)) or oracle.is_dim(value) or (
    isinstance(value, Opaque) and value.kind in ('int', 'float', 'bool', 'any')
  )


def _static(args: tuple[Value, ...], kwargs: dict[str, Value]) -> bool:
  return not contains((*args, *kwargs.values()), (Array, Unknown, Late))
