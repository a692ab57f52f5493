"""Sizes under other names: what JAX answers, and what a class does, does not hang on the names of symbols."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from .dims import is_symbolic, largest, parsed, smallest, symbol, text_of
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


def without_meaning(value: Value) -> tuple[Value, dict[str, Dim]]:
  """Returns the value with one symbol for every different size, compound ones too, and the sizes by these symbols."""
  symbols: dict[str, Dim] = {}
  meanings: dict[str, Dim] = {}

  def change(dim: Dim) -> Dim:
    if not is_symbolic(dim):
      return dim
    text = text_of(dim)
    if text not in symbols:
      kind = kind_of_name(text) if text.isidentifier() else 'part'
      name = f'{kind}_{len(symbols)}'
      symbols[text], meanings[name] = symbol(name), dim
    return symbols[text]

  return map_dims(value, change), meanings


def substituted(dim: Dim, meanings: dict[str, Dim]) -> Dim | None:
  """Returns the size with sizes in place of its symbols, as JAX itself would have computed it; None if it would not."""
  text = text_of(dim)
  if text in meanings:
    return meanings[text]
  names = names_in(text)
  if not meanings.keys() >= set(names):
    return None
  given = tuple(meanings[name] for name in names)
  question = (text, *map(text_of, given))
  if question not in _substituted:
    _substituted[question] = _computed(text, dict(zip(names, given)))
  return _substituted[question]


_substituted: dict[tuple[str, ...], Dim | None] = {}
_OPERATORS = {'floordiv': operator.floordiv, 'mod': operator.mod, 'max': largest, 'min': smallest}


def _computed(text: str, given: dict[str, Dim]) -> Dim | None:
  if re.search(r'\bnon_negative\b', text):
    return None
  try:
    return eval(_compiled(text), {'__builtins__': {}}, {**_OPERATORS, **given})
  except Exception:
    return None


@functools.cache
def _compiled(text: str) -> Any:
  return compile(text.replace('^', '**'), '<size>', 'eval')


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
