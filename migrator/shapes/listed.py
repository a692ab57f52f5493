"""Library functions given a list whose length is a symbol: stack, concatenate and array."""

from __future__ import annotations

import math
from typing import Any

from . import oracle
from .symbols import SymbolInfo
from .values import Array, Dim, Repeated, Value

_ARRAYS = ('array', 'asarray', 'stack')


def of_list(it: Any, line: int, name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Array | None:
  """Returns what `jnp.stack`, `jnp.concatenate` or `jnp.array` makes of a `Repeated`, None if not known."""
  short = name.rsplit('.', 1)[-1]
  if not args or not isinstance(args[0], Repeated) or not name.startswith(('jax.numpy.', 'numpy.')):
    return None
  axis = kwargs.get('axis', args[1] if len(args) > 1 and short != 'array' else 0)
  shape = _shape(args[0].element)
  length = args[0].length
  if shape is None or not isinstance(axis, int):
    return None
  if length is None:
    # A size of its own: nothing is known about it, and nothing is claimed to be equal to it.
    length = it.table.new(f'length_{line}', SymbolInfo('opaque', source=f'{name} at line {line}'))
  if short in _ARRAYS:
    place = axis % (len(shape) + 1) if short == 'stack' else 0
    return Array((*shape[:place], length, *shape[place:]), _dtype(args[0].element))
  if short == 'concatenate' and shape:
    place = axis % len(shape)
    return Array((*shape[:place], math.prod((shape[place], length)), *shape[place + 1 :]))
  return None


def _dtype(element: Any) -> str:
  """Returns the dtype of an array of such elements: whole numbers only where all are."""
  if isinstance(element, Array):
    return element.dtype
  if isinstance(element, Repeated):
    return _dtype(element.element)
  if isinstance(element, (tuple, list)):
    return 'int32' if element and all(_dtype(item) == 'int32' for item in element) else 'float32'
  return 'int32' if oracle.is_dim(element) or getattr(element, 'kind', '') == 'int' else 'float32'


def _shape(element: Any) -> tuple[Dim, ...] | None:
  if isinstance(element, Array):
    return element.shape
  if isinstance(element, Repeated) and element.length is not None:
    inner = _shape(element.element)
    return None if inner is None else (element.length, *inner)
  if isinstance(element, (tuple, list)):
    shapes = {_shape(item) for item in element}
    first = shapes.pop() if len(shapes) == 1 else None
    return None if first is None else (len(element), *first)
  return (
    ()
    if oracle.is_dim(element)
    or isinstance(element, float)
    or getattr(element, 'kind', '') in ('float', 'int')
    else None
  )
