"""Sizes under other names: what JAX answers, and what a class does, does not hang on the names of symbols."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from .dims import is_symbolic, parsed, text_of
from .examples import kind_of_name
from .values import Array, Dim, Value, like

NAMES = re.compile(r'[A-Za-z]\w*')
FUNCTIONS = frozenset({'floordiv', 'mod', 'max', 'min', 'non_negative'})


@functools.cache
def names_in(text: str) -> tuple[str, ...]:
  """Returns the symbols of an expression in the order they stand."""
  return tuple(dict.fromkeys(name for name in NAMES.findall(text) if name not in FUNCTIONS))


def renamed(text: str, names: dict[str, str]) -> str:
  """Returns the expression with its symbols replaced; symbols without a new name stay."""
  return NAMES.sub(lambda match: names.get(match.group(), match.group()), text)


def renamed_dim(dim: Dim, names: dict[str, str]) -> Dim:
  """Returns the size with its symbols replaced."""
  if not is_symbolic(dim):
    return dim
  text = text_of(dim)
  if all(names.get(name, name) == name for name in names_in(text)):
    return dim
  return parsed(renamed(text, names))


def map_dims(value: Value, change: Callable[[Dim], Dim]) -> Value:
  """Returns a pytree of arrays, sizes and static values with every symbolic size changed."""
  if isinstance(value, Array):
    return Array(tuple(map(change, value.shape)), value.dtype, value.optional)
  if isinstance(value, (tuple, list)):
    return like(value, [map_dims(item, change) for item in value])
  if isinstance(value, dict):
    return {key: map_dims(item, change) for key, item in value.items()}
  if isinstance(value, slice):
    return slice(*(map_dims(item, change) for item in (value.start, value.stop, value.step)))
  return change(value) if is_symbolic(value) else value


def dims_of(value: Value) -> Iterator[Dim]:
  """Yields the symbolic sizes of such a pytree in order."""
  if isinstance(value, Array):
    yield from (dim for dim in value.shape if is_symbolic(dim))
  elif isinstance(value, (tuple, list)):
    for item in value:
      yield from dims_of(item)
  elif isinstance(value, dict):
    for item in value.values():
      yield from dims_of(item)
  elif isinstance(value, slice):
    yield from dims_of((value.start, value.stop, value.step))
  elif is_symbolic(value):
    yield value


def neutral_names(value: Any) -> dict[str, str]:
  """Returns a neutral name for every symbol; only whether it names a count, a window or a width is kept."""
  names: dict[str, str] = {}
  counts: dict[str, int] = {}
  for dim in dims_of(value):
    for name in names_in(text_of(dim)):
      if name not in names:
        kind = kind_of_name(name)
        names[name] = f'{kind}_{counts.get(kind, 0)}'
        counts[kind] = counts.get(kind, 0) + 1
  return names
