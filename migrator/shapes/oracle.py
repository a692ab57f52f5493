"""Asks JAX for shapes, by tracing the real function.

Every array is a `jax.ShapeDtypeStruct` whose dims may be symbols of one scope; the real function is
traced by `jax.eval_shape`.  Where JAX cannot decide with symbols, the function is traced with several
concrete sizes and the result dims are recognised among known expressions.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .dims import is_dim, is_symbolic, load_jax, parsed, quotient, same, symbol, text_of
from .examples import TRIES, candidates, evaluate, evaluate_with, merged
from .renaming import (
  dims_of,
  map_dims,
  names_in,
  neutral_names,
  renamed,
  renamed_dim,
  substituted,
  without_meaning,
)
from .values import Array, Dim, External, Opaque, Partial, Value, contains, like


class OracleFailure(Exception):
  """JAX refuses the operation; the message is its first line."""


# -- names to objects ---------------------------------------------------------------------------

_ROOTS = ('jax', 'flax.linen', 'numpy', 'math', 'functools', 'operator', 'einops', 'builtins', 'optax')


@functools.cache
def find(name: str) -> Any:
  """Returns the object with the qualified name, from JAX, Flax, NumPy or the standard library.

  Raises:
    OracleFailure: it is not one of theirs or does not exist.
  """
  if not name.startswith(_ROOTS):
    raise OracleFailure(f'{name} is outside the libraries whose shapes are known')
  parts = name.split('.')
  for cut in range(len(parts), 0, -1):
    try:
      found = importlib.import_module('.'.join(parts[:cut]))
    except ImportError:
      continue
    try:
      for part in parts[cut:]:
        found = getattr(found, part)
    except AttributeError:
      break
    return found
  raise OracleFailure(f'{name} does not exist in the installed version')


@functools.cache
def is_linen_class(name: str) -> bool:
  """Tells whether the qualified name is a Linen module class."""
  try:
    found = find(name)
  except OracleFailure:
    return False
  return isinstance(found, type) and issubclass(found, find('flax.linen.Module'))


@functools.cache
def signature(name: str) -> Any:
  """Returns `inspect.signature` of the named object, or None."""
  import inspect

  try:
    return inspect.signature(find(name))
  except (OracleFailure, TypeError, ValueError):
    return None


# -- concrete sizes for symbols -------------------------------------------------------------------


# -- tracing ------------------------------------------------------------------------------------


def trace(function: Callable[..., Any], values: Any, key: Any = None, examples: bool = True) -> Value:
  """Returns the abstract result of `function(values)`.

  function: takes a pytree shaped like `values` with arrays in place of `Array`.
  values: a pytree (tuples, lists, dicts) of `Array` and static values.
  key: identifies the function for reuse of earlier answers; None for no reuse.
  examples: whether concrete sizes are tried where JAX cannot decide with symbols.

  Raises:
    OracleFailure: JAX refuses, with symbols and with concrete sizes.
  """
  if key is not None:
    text = (key, _question(values), examples)
    if text not in _memory:
      _memory[text] = _remembered(function, values, key, examples)
    answer = _memory[text]
  else:
    answer = _attempt(function, values, examples)
  if isinstance(answer, OracleFailure):
    # A failure of its own each time: a remembered one would keep every stack it was raised through.
    raise OracleFailure(str(answer))
  return answer


_memory: dict[Any, Any] = {}
_neutral: dict[Any, Any] = {}


def _remembered(function: Callable[..., Any], values: Any, key: Any, examples: bool) -> Any:
  """Asks with neutral names, so that one answer serves all questions that differ in names only."""
  if contains(values, (Opaque, Partial)):  # they bring names of their own
    return _attempt(function, values, examples)
  asked, meanings = without_meaning(values)
  if not all(text_of(dim).isidentifier() for dim in meanings.values()):
    # What holds whatever the compound sizes are need not be asked for each of them.
    answer = _in_sizes(_answered(function, asked, key, False), meanings)
    if answer is not None:
      return answer
  names = neutral_names(values)
  answer = _answered(function, map_dims(values, lambda dim: renamed_dim(dim, names)), key, examples)
  back = {new: old for old, new in names.items()}
  if isinstance(answer, OracleFailure):
    return OracleFailure(renamed(str(answer), back))
  if any(name not in back for dim in dims_of(answer) for name in names_in(text_of(dim))):
    return _attempt(
      function, values, examples
    )  # a size without an expression has a name of this question alone
  return map_dims(answer, lambda dim: renamed_dim(dim, back))


def _answered(function: Callable[..., Any], asked: Any, key: Any, examples: bool) -> Any:
  question = (key, _question(asked), examples)
  if question not in _neutral:
    _neutral[question] = _attempt(function, asked, examples)
  return _neutral[question]


def _in_sizes(answer: Any, meanings: dict[str, Dim]) -> Any:
  """Returns the answer with sizes in place of symbols; None if there is none, or JAX may know more of the sizes."""
  if isinstance(answer, OracleFailure):
    return None
  sizes = {text_of(dim): substituted(dim, meanings) for dim in dims_of(answer)}
  if any(size is None for size in sizes.values()):
    return None
  return map_dims(answer, lambda dim: sizes[text_of(dim)] if is_symbolic(dim) else dim)


def _question(values: Any) -> Any:
  """Returns a hashable text of the values."""
  if isinstance(values, Array):
    return (*map(text_of, values.shape), values.dtype)
  if isinstance(values, (tuple, list)):
    return (type(values).__name__, *map(_question, values))
  if isinstance(values, dict):
    return ('dict', *((name, _question(item)) for name, item in values.items()))
  if isinstance(values, slice):
    return ('slice', _question(values.start), _question(values.stop), _question(values.step))
  return text_of(values) if is_symbolic(values) else repr(values)


def _attempt(function: Callable[..., Any], values: Any, examples: bool = True) -> Any:
  try:
    return _trace(function, values, lambda dim: dim)
  except Exception as error:  # any complaint of the traced function is an answer
    first = error
  try:
    if examples:
      return _by_examples(function, values)
    raise OracleFailure
  except Exception:
    message = str(first).strip().splitlines() or [type(first).__name__]
    return OracleFailure(f'{type(first).__name__}: {message[0][:200]}')


def _trace(function: Callable[..., Any], values: Any, size: Callable[[Dim], Dim]) -> Value:
  jax = load_jax()
  arrays: list[Any] = []

  def lower(value: Any) -> Any:
    if isinstance(value, Array):
      arrays.append(_struct(value, size))
      return _Slot(len(arrays) - 1)
    if isinstance(value, tuple):
      return like(value, [lower(item) for item in value])
    if isinstance(value, list):
      return [lower(item) for item in value]
    if isinstance(value, dict):
      return {name: lower(item) for name, item in value.items()}
    if isinstance(value, slice):
      return slice(lower(value.start), lower(value.stop), lower(value.step))
    if is_symbolic(value):
      return size(value)
    return to_object(value)

  lowered = lower(values)
  statics: list[Any] = []

  def run(slots: list[Any]) -> Any:
    result = function(_fill(lowered, slots))
    leaves, tree = jax.tree.flatten(result, is_leaf=lambda leaf: leaf is None)
    is_array = [hasattr(leaf, 'shape') and hasattr(leaf, 'dtype') for leaf in leaves]
    statics.append((tree, is_array, [None if flag else leaf for leaf, flag in zip(leaves, is_array)]))
    return [leaf for leaf, flag in zip(leaves, is_array) if flag]

  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    shapes = jax.eval_shape(run, arrays)
  tree, is_array, rest = statics[-1]
  remaining = iter(shapes)
  leaves = [_lift(next(remaining)) if flag else leaf for flag, leaf in zip(is_array, rest)]
  return jax.tree.unflatten(tree, leaves)


class _Slot:
  def __init__(self, index: int) -> None:
    self.index = index


def _fill(lowered: Any, slots: list[Any]) -> Any:
  if isinstance(lowered, _Slot):
    return slots[lowered.index]
  if isinstance(lowered, tuple):
    return like(lowered, [_fill(item, slots) for item in lowered])
  if isinstance(lowered, list):
    return [_fill(item, slots) for item in lowered]
  if isinstance(lowered, dict):
    return {name: _fill(item, slots) for name, item in lowered.items()}
  return lowered


def _struct(value: Array, size: Callable[[Dim], Dim]) -> Any:
  jax = load_jax()
  shape = tuple(size(dim) for dim in value.shape)
  if value.dtype == 'key':
    return jax.eval_shape(lambda: jax.random.key(0))
  return jax.ShapeDtypeStruct(shape, jax.numpy.dtype(value.dtype))


def _lift(struct: Any) -> Array:
  jax = load_jax()
  if jax.dtypes.issubdtype(struct.dtype, jax.dtypes.prng_key):
    return Array(tuple(struct.shape), 'key')
  return Array(tuple(struct.shape), str(struct.dtype))


def to_object(value: Value) -> Any:
  """Returns the real object for a static value, for use inside a traced function."""
  if isinstance(value, External):
    return find(value.name)
  if isinstance(value, Partial):
    return functools.partial(
      to_object(value.function),
      *map(to_object, value.args),
      **{name: to_object(item) for name, item in value.kwargs.items()},
    )
  if isinstance(value, Opaque):
    return _opaque_object(value)
  if value is None or isinstance(value, (int, float, complex, str, bytes, type(Ellipsis), slice)):
    return value
  if isinstance(value, tuple):
    return tuple(to_object(item) for item in value)
  if isinstance(value, list):
    return [to_object(item) for item in value]
  if isinstance(value, dict):
    return {name: to_object(item) for name, item in value.items()}
  if is_symbolic(value) or isinstance(value, (type, np.dtype)) or type(value).__module__.startswith('numpy'):
    return value
  raise OracleFailure(f'no concrete object for {type(value).__name__}')


def _opaque_object(value: Opaque) -> Any:
  if value.kind in ('int', 'any') and value.default is None:
    return symbol(re.sub(r'\W+', '_', value.source.removeprefix('self.')).strip('_') or 'size')
  if value.kind == 'dtype':
    return None if value.optional else load_jax().numpy.float32
  if value.kind == 'callable':
    return lambda x, *args, **kwargs: x
  if value.kind == 'float':
    return 0.5
  if value.kind == 'bool' and value.default is None:
    return False
  if value.default is not None:
    return to_object(value.default)
  if value.optional:
    return None
  raise OracleFailure(f'the value of {value.source} is not known')


# -- concrete examples ---------------------------------------------------------------------------


def _by_examples(function: Callable[..., Any], values: Any) -> Value:
  """Traces with concrete sizes and recognises every result dim among simple expressions."""
  results = [
    _trace(function, values, functools.partial(evaluate, attempt=attempt)) for attempt in range(TRIES)
  ]
  known = candidates(values)
  return merged(results, known)


__all__ = [
  'OracleFailure',
  'evaluate',
  'evaluate_with',
  'find',
  'is_dim',
  'is_linen_class',
  'is_symbolic',
  'parsed',
  'quotient',
  'same',
  'signature',
  'symbol',
  'text_of',
  'to_object',
  'trace',
]
