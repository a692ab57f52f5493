"""Asks JAX for shapes.  The only file of the reading side that imports jax and flax.

Every array is a `jax.ShapeDtypeStruct` whose dims may be symbols of one scope; the real function is
traced by `jax.eval_shape`.  Where JAX cannot decide with symbols, the function is traced with several
concrete sizes and the result dims are recognised among known expressions.
"""
from __future__ import annotations

import functools
import hashlib
import importlib
import itertools
import os
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .values import Array, Dim, External, Opaque, Partial, Value, like

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault(
  'JAX_TRACEBACK_FILTERING', 'off'
)  # refusals are frequent, and nobody reads their tracebacks

_SMALL = ('head', 'group', 'kernel', 'patch', 'stride', 'dilation', 'num_', 'n_', 'factor', 'ratio', 'depth')
_TRIES = 2
_PRIMES = tuple(number for number in range(5, 400) if all(number % divisor for divisor in range(2, number)))


class OracleFailure(Exception):
  """JAX refuses the operation; the message is its first line."""


@functools.cache
def _jax() -> Any:
  import jax
  import jax.export
  return jax


@functools.cache
def _scope() -> Any:
  return _jax().export.SymbolicScope()


@functools.cache
def symbol(name: str) -> Dim:
  """Returns the dimension symbol called `name`."""
  return _jax().export.symbolic_shape(name, scope=_scope())[0]


def is_symbolic(value: Value) -> bool:
  """Tells whether the value is a symbolic dimension (and not an int)."""
  return type(value).__name__ == '_DimExpr'


def is_dim(value: Value) -> bool:
  return is_symbolic(value) or (isinstance(value, int) and not isinstance(value, bool))


@functools.cache
def text_of(dim: Dim) -> str:
  """Returns the text of a size, made once: writing long expressions is slow."""
  return str(dim)


@functools.cache
def same(left: Dim, right: Dim) -> bool | None:
  """Tells whether two sizes are equal for all values of their symbols; None if it depends."""
  if not is_symbolic(left) and not is_symbolic(right):
    return left == right
  difference = left - right
  if is_symbolic(difference):
    return None
  return bool(difference == 0)


def quotient(left: Dim, right: Dim) -> Dim:
  """Returns `left // right`, with what both have in common cancelled."""
  if not is_symbolic(left) and not is_symbolic(right):
    return left // right
  return (symbol('unit') * 0 + left) // right if not is_symbolic(left) else left // right


@functools.cache
def parsed(text: str) -> Dim | None:
  """Returns the size with this text, or None."""
  try:
    return int(text) if text.isdigit() else _jax().export.symbolic_shape(text, scope=_scope())[0]
  except Exception:
    return None


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


@functools.cache
def _concrete(name: str, attempt: int) -> int:
  """Returns a generic concrete size for a symbol: large and divisible by usual head counts."""
  number = int.from_bytes(hashlib.sha1(name.encode()).digest()[:4], 'big')
  # One symbol must have another size in every attempt, or its size looks like a literal.
  if any(part in name for part in _SMALL):
    return (2, 4, 8)[(number + attempt * (1 + number // 3 % 2)) % 3]
  count = len(_PRIMES)
  shift = 1 + number // count % (
    count - 1
  )  # so that two symbols hardly ever share their sizes in both attempts
  return 64 * _PRIMES[(number + attempt * shift) % count] * (1 if attempt else 3)


def evaluate(dim: Dim, attempt: int) -> int:
  """Returns the value of a dim when every symbol has its generic concrete size."""
  if not is_symbolic(dim):
    return int(dim)
  return _evaluate_text(str(dim), attempt)


@functools.cache
def _evaluate_text(text: str, attempt: int) -> int:
  names = {name: _concrete(name, attempt) for name in re.findall(r'[A-Za-z]\w*', text)}
  functions = {'floordiv': lambda a, b: a // b, 'mod': lambda a, b: a % b, 'max': max, 'min': min}
  return int(
    eval(compile(text.replace('^', '**'), '<dim>', 'eval'), {'__builtins__': {}}, {**names, **functions})
  )


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
    text = (key, _question(values))
    if text not in _memory:
      _memory[text] = _attempt(function, values, examples)
    answer = _memory[text]
  else:
    answer = _attempt(function, values, examples)
  if isinstance(answer, OracleFailure):
    raise answer
  return answer


_memory: dict[Any, Any] = {}


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
  jax = _jax()
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
  jax = _jax()
  shape = tuple(size(dim) for dim in value.shape)
  if value.dtype == 'key':
    return jax.eval_shape(lambda: jax.random.key(0))
  return jax.ShapeDtypeStruct(shape, jax.numpy.dtype(value.dtype))


def _lift(struct: Any) -> Array:
  jax = _jax()
  if jax.dtypes.issubdtype(struct.dtype, jax.dtypes.prng_key):
    return Array(tuple(struct.shape), 'key')
  return Array(tuple(struct.shape), str(struct.dtype))


def to_object(value: Value) -> Any:
  """Returns the real object for a static value, for use inside a traced function."""
  if isinstance(value, External):
    return find(value.name)
  if isinstance(value, Partial):
    return functools.partial(to_object(value.function), *map(to_object, value.args),
                             **{name: to_object(item) for name, item in value.kwargs.items()})
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
    return None if value.optional else _jax().numpy.float32
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
  results = [_trace(function, values, lambda dim, attempt=attempt: evaluate(dim, attempt))
             for attempt in range(_TRIES)]
  known = _candidates(values)
  return _merge_examples(results, known)


def _merge_examples(results: list[Any], known: dict[tuple[int, ...], Dim]) -> Any:
  jax = _jax()
  leaves = [jax.tree.flatten(result, is_leaf=lambda leaf: isinstance(leaf, Array)) for result in results]
  first, tree = leaves[0]
  merged = []
  for index, leaf in enumerate(first):
    if not isinstance(leaf, Array):
      merged.append(leaf)
      continue
    shapes = [other[index].shape for other, _ in leaves]
    dims = tuple(_recognise(sizes, known) for sizes in zip(*shapes))
    merged.append(Array(dims, leaf.dtype))
  return jax.tree.unflatten(tree, merged)


def _recognise(sizes: tuple[int, ...], known: dict[tuple[int, ...], Dim]) -> Dim:
  if sizes in known:
    return known[sizes]
  if len(set(sizes)) == 1:
    return sizes[0]
  name = 'unnamed_' + '_'.join(map(str, sizes))
  return symbol(name)


def _candidates(values: Any) -> dict[tuple[int, ...], Dim]:
  dims = sorted(set(_dims(values)), key=lambda dim: (len(str(dim)), str(dim)))[:24]
  table: dict[tuple[int, ...], Dim] = {}

  def add(dim: Dim) -> None:
    sizes = tuple(evaluate(dim, attempt) for attempt in range(_TRIES))
    if len(set(sizes)) > 1 and min(sizes) > 0:
      table.setdefault(sizes, dim)

  for dim in dims:
    add(dim)
  for left, right in itertools.permutations(dims, 2):
    add(left * right)
    add(left + right)
    if is_symbolic(left):
      add(left // right)
  for dim in dims:
    for factor in (2, 3, 4):
      add(dim * factor)
      add(dim // factor)
  return table


def _dims(values: Any) -> Any:
  if isinstance(values, Array):
    yield from (dim for dim in values.shape if is_dim(dim))
  elif isinstance(values, (tuple, list)):
    for item in values:
      yield from _dims(item)
  elif isinstance(values, dict):
    for item in values.values():
      yield from _dims(item)
  elif is_symbolic(values) or (isinstance(values, int) and not isinstance(values, bool) and values > 0):
    yield values


def evaluate_with(dim: Dim, given: dict[str, int], attempt: int) -> int:
  """As `evaluate`, with some symbols given."""
  text = str(dim)
  for name, value in given.items():
    text = re.sub(rf'\b{name}\b', str(value), text)
  return _evaluate_text(text, attempt)
