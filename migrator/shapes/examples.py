"""Concrete sizes where symbols fail: results of several tries, recognised among simple expressions."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from typing import Any

from .dims import is_dim, is_symbolic, load_jax, symbol, text_of
from .values import Array, Dim

# Symbols that mean a small number by their name: windows always, counts unless the name tells of a width.
_WINDOW = re.compile(r'kernel|patch|stride|dilation')
_SMALL = re.compile(r'head|group|(^|_)(num|n)_|factor|ratio|depth')
_LARGE = re.compile(r'channel|feature|filter|hidden|width|embed|vocab|class|unit|(^|_)(dims?|size|last)($|_)')
_PRIMES = tuple(number for number in range(5, 400) if all(number % divisor for divisor in range(2, number)))
TRIES = 2


def kind_of_name(name: str) -> str:
  """Tells whether a symbol means a 'kernel' (a window), a 'num' (a small count) or a 'width', by its name."""
  if _WINDOW.search(name):
    return 'kernel'
  return 'num' if _SMALL.search(name) and not _LARGE.search(name) else 'width'


@functools.cache
def _concrete(name: str, attempt: int) -> int:
  """Returns a generic concrete size for a symbol: large and divisible by usual head counts."""
  number = int.from_bytes(hashlib.sha1(name.encode()).digest()[:4], 'big')
  # One symbol must have another size in every attempt, or its size looks like a literal.
  if kind_of_name(name) != 'width':
    return (2, 4, 8)[(number + attempt * (1 + number // 3 % 2)) % 3]
  count = len(_PRIMES)
  # Steps of their own, so that two symbols hardly ever share their sizes in both attempts.
  shift = 1 + number // count % (count - 1)
  return 64 * _PRIMES[(number + attempt * shift) % count] * (1 if attempt else 3)


def evaluate(dim: Dim, attempt: int) -> int:
  """Returns the value of a dim when every symbol has its generic concrete size."""
  if not is_symbolic(dim):
    return int(dim)
  return _evaluate_text(text_of(dim), attempt)


@functools.cache
def _evaluate_text(text: str, attempt: int) -> int:
  names = {name: _concrete(name, attempt) for name in re.findall(r'[A-Za-z]\w*', text)}
  functions = {'floordiv': lambda a, b: a // b, 'mod': lambda a, b: a % b, 'max': max, 'min': min}
  return int(
    eval(compile(text.replace('^', '**'), '<dim>', 'eval'), {'__builtins__': {}}, {**names, **functions})
  )


def evaluate_with(dim: Dim, given: dict[str, int], attempt: int) -> int:
  """As `evaluate`, with some symbols given."""
  text = text_of(dim)
  for name, value in given.items():
    text = re.sub(rf'\b{name}\b', str(value), text)
  return _evaluate_text(text, attempt)


def merged(results: list[Any], known: dict[tuple[int, ...], Dim]) -> Any:
  jax = load_jax()
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


def candidates(values: Any) -> dict[tuple[int, ...], Dim]:
  dims = sorted(set(_dims(values)), key=lambda dim: (len(text_of(dim)), text_of(dim)))[:24]
  table: dict[tuple[int, ...], Dim] = {}

  def add(dim: Dim) -> None:
    sizes = tuple(evaluate(dim, attempt) for attempt in range(TRIES))
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
