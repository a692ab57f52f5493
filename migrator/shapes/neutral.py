"""Arguments of library functions that only change numbers: what is not known of them does not hide the shape."""
from __future__ import annotations

from typing import Any

from .values import Array, Unknown, Value

# Functions and the arguments whose array is broadcast to the others, or chooses between them: by position and name.
_BROADCAST = {
  'flax.linen.dot_product_attention_weights': {2: 'bias', 3: 'mask'},
  'flax.linen.dot_product_attention': {3: 'bias', 4: 'mask'},
  'jax.numpy.where': {0: 'condition'},
  'jax.lax.select': {0: 'pred'},
}


def without_neutral(
  it: Any, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], line: int
) -> tuple[tuple[Value, ...], dict[str, Value]]:
  """Returns the arguments with what could not be followed left out where it is broadcast to the other arrays."""
  names = _BROADCAST.get(name)
  others = [value for place, value in enumerate(args) if names is None or place not in names]
  if names is None or not any(isinstance(value, Array) for value in (*others, *kwargs.values())):
    return args, kwargs
  hidden = [place for place in names if place < len(args) and isinstance(args[place], Unknown)]
  left = [key for key in names.values() if isinstance(kwargs.get(key), Unknown)]
  if not hidden and not left:
    return args, kwargs
  if it.recording and not all(_soft(value) for value in (*(args[i] for i in hidden), *(kwargs[k] for k in left))):
    it.record.notes.append((line, f'an argument of {name} that could not be followed was taken to keep the shape'))
  if name == 'jax.lax.select':
    shaped = next((value for value in args[1:] if isinstance(value, Array)), None)
    args = (Array((), 'bool'), *(shaped if isinstance(value, Unknown) else value for value in args[1:]))
    return args, kwargs
  absent = Array((), 'bool') if name == 'jax.numpy.where' else None
  args = tuple(absent if place in hidden else value for place, value in enumerate(args))
  return args, {key: absent if key in left else value for key, value in kwargs.items()}


def _soft(value: Value) -> bool:
  return isinstance(value, Unknown) and value.soft
