"""Values as the text of Python expressions, and arrays as dtype and shape."""
from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import re
import sys
from typing import Any

_DTYPES = {
  'float16': 'f16', 'bfloat16': 'bf16', 'float32': 'f32', 'float64': 'f64', 'int8': 'i8', 'int16': 'i16',
  'int32': 'i32', 'int64': 'i64', 'uint8': 'u8', 'uint16': 'u16', 'uint32': 'u32', 'uint64': 'u64', 'bool': 'bool',
  'complex64': 'c64',
}
# Where things have their public names; `nn` is Linen in a case on the Linen side and NNX on the other.
_PUBLIC = (
  ('jax.nn', 'jax.nn'), ('jnp', 'jax.numpy'), ('jax.nn.initializers', 'jax.nn.initializers'), ('jax.lax', 'jax.lax'),
  ('nn', 'flax.linen'), ('nn.initializers', 'flax.linen.initializers'), ('np', 'numpy'),
)
_SMALL = 16


class Unsupported(Exception):
  """A value that a case cannot hold; the message says why."""


def is_array(value: Any) -> bool:
  return hasattr(value, 'shape') and hasattr(value, 'dtype') and not isinstance(value, type)


def described(value: Any) -> dict[str, Any]:
  """Returns what a case says of a call argument: {'array': dtype, 'shape', 'bound'} or {'text': expression}."""
  if is_array(value) and not _is_key(value):
    return _array(value)
  return {'text': _in_tree(value)}


def _array(value: Any) -> dict[str, Any]:
  import jax

  name = str(jax.dtypes.canonicalize_dtype(value.dtype))
  if name not in _DTYPES:
    raise Unsupported(f'an array of {name}')
  found: dict[str, Any] = {'array': _DTYPES[name], 'shape': list(value.shape)}
  if 'int' in name:
    found['bound'] = _bound(value)
  return found


def _bound(value: Any) -> int:
  """Returns one more than the largest whole number, 2 where the numbers are not there."""
  import jax
  import numpy as np

  if isinstance(value, jax.core.Tracer) or not value.size:
    return 2
  return max(int(np.max(np.asarray(value))) + 1, 2)


def _is_key(value: Any) -> bool:
  import jax

  return is_array(value) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def _in_tree(value: Any) -> str:
  """Returns an expression for a call argument; arrays in it become random ones of the same shape."""
  if _is_key(value):
    return 'jax.random.key(0)' if not value.shape else f'jax.random.split(jax.random.key(0), {tuple(value.shape)})'
  if is_array(value):
    array = _array(value)
    name = next(name for name, short in _DTYPES.items() if short == array['array'])
    made = f'np.random.default_rng(0).normal(size={tuple(array["shape"])})'
    if 'bound' in array:
      made = f'np.random.default_rng(0).integers(0, {array["bound"]}, size={tuple(array["shape"])})'
    if name == 'bool':
      made = f'(np.random.default_rng(0).random({tuple(array["shape"])}) < 0.5)'
    return f'jnp.asarray({made}, {name!r})'
  if type(value) in (tuple, list):
    inner = ''.join(f'{_in_tree(item)}, ' for item in value)
    return f'({inner})' if isinstance(value, tuple) else f'[{inner.removesuffix(", ")}]'
  if isinstance(value, tuple):
    inner = ', '.join(_in_tree(item) for item in value)
    return f'{_reference(type(value))}({inner})'
  if type(value) is dict:
    return '{' + ', '.join(f'{key!r}: {_in_tree(item)}' for key, item in value.items()) + '}'
  return expression(value)


def expression(value: Any) -> str:
  """Returns the text of a Python expression for a constructor argument.

  Raises:
    Unsupported: there is none.
  """
  if value is None or type(value) in (bool, int, str, bytes) or value is Ellipsis:
    return repr(value)
  if type(value) is float:
    return repr(value) if value == value and abs(value) != float('inf') else f'float({str(value)!r})'
  if isinstance(value, enum.Enum):
    return f'{_reference(type(value))}.{value.name}'
  if type(value) in (tuple, list, set, frozenset):
    return _sequence(value)
  if isinstance(value, tuple):
    return f'{_reference(type(value))}({", ".join(expression(item) for item in value)})'
  if isinstance(value, slice):
    return f'slice({value.start!r}, {value.stop!r}, {value.step!r})'
  if isinstance(value, functools.partial):
    return _partial(value)
  if isinstance(value, type) or callable(value) and hasattr(value, '__qualname__'):
    return _reference(value)
  kind = type(value).__name__
  if type(value) is dict:
    return '{' + ', '.join(f'{expression(key)}: {expression(item)}' for key, item in value.items()) + '}'
  if kind == 'FrozenDict':
    return f'flax.core.freeze({expression(dict(value))})'
  if kind == 'dtype':
    return f'jnp.dtype({str(value)!r})'
  if is_array(value):
    return _constant(value)
  if dataclasses.is_dataclass(value):
    return _dataclass(value)
  if callable(value):  # jnp.float32 and the like
    return _reference(value)
  raise Unsupported(f'a {kind} has no text')


def _sequence(value: Any) -> str:
  if not value and not isinstance(value, (tuple, list)):
    return f'{type(value).__name__}()'
  items = [expression(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
  inner = ', '.join(items)
  if isinstance(value, tuple):
    return f'({inner},)' if len(items) == 1 else f'({inner})'
  if isinstance(value, list):
    return f'[{inner}]'
  return f'{type(value).__name__}({{{inner}}})'


def _partial(value: Any) -> str:
  given = [expression(item) for item in value.args]
  given += [f'{key}={expression(item)}' for key, item in value.keywords.items()]
  return f'functools.partial({", ".join([expression(value.func), *given])})'


def _constant(value: Any) -> str:
  import jax
  import numpy as np

  if isinstance(value, jax.core.Tracer) or value.size > _SMALL or _is_key(value):
    raise Unsupported('an array of data')
  module = 'np' if isinstance(value, (np.ndarray, np.generic)) else 'jnp'
  return f'{module}.asarray({np.asarray(value).tolist()!r}, {str(value.dtype)!r})'


def _dataclass(value: Any) -> str:
  if any(base.__module__.startswith('flax.linen') and base.__name__ == 'Module' for base in type(value).__mro__):
    raise Unsupported('a module that was made already')
  given = []
  for field in dataclasses.fields(value):
    if not field.init:
      continue
    item = getattr(value, field.name)
    if field.default is dataclasses.MISSING or item is not field.default and item != field.default:
      given.append(f'{field.name}={expression(item)}')
  return f'{_reference(type(value))}({", ".join(given)})'


def _reference(value: Any) -> str:
  """Returns where a class or function can be imported from."""
  module, name = getattr(value, '__module__', None) or '', getattr(value, '__qualname__', '') or ''
  for short, place in _PUBLIC:
    public = sys.modules.get(place)
    for candidate in (name, getattr(value, '__name__', '')):
      if public is not None and candidate and getattr(public, candidate, None) is value:
        return f'{short}.{candidate}'
  made = _factory(value, name)
  if made is not None:
    return made
  if '<' in name or not name:
    raise Unsupported(f'{name or type(value).__name__} has no name that can be imported')
  if module == 'builtins':
    return name
  if module == '__main__':
    spec = getattr(sys.modules['__main__'], '__spec__', None)
    if spec is None:
      raise Unsupported(f'{name} is defined in the script that was run')
    module = spec.name
  found: Any = sys.modules.get(module)
  for part in name.split('.'):
    found = getattr(found, part, None)
  if found is not value and getattr(found, '__wrapped__', None) is not value:
    raise Unsupported(f'{module}.{name} means something else')
  return f'{module}.{name}'


def _factory(value: Any, name: str) -> str | None:
  """Returns the call of an initializer factory that made a function: `normal.<locals>.init` -> `normal(stddev=0.02)`."""
  match = re.fullmatch(r'(\w+)\.<locals>\.\w+', name)
  if match is None or not inspect.isfunction(value):
    return None
  place = sys.modules.get('jax.nn.initializers')
  factory = getattr(place, match[1], None)
  if factory is None or getattr(inspect.unwrap(factory), '__globals__', None) is not value.__globals__:
    return None
  held = inspect.getclosurevars(value).nonlocals
  given = [f'{key}={expression(held[key])}' for key in inspect.signature(factory).parameters if key in held]
  return f'jax.nn.initializers.{match[1]}({", ".join(given)})'
