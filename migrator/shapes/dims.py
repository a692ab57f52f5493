"""Sizes: ints and the dimension expressions of one symbolic scope of JAX, which only this file imports."""

from __future__ import annotations

import functools
import os
from typing import Any

from .values import Dim, Value

# Read when JAX is imported: no device is needed.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')


@functools.cache
def load_jax() -> Any:
  import jax
  import jax.core
  import jax.export

  # Refusals are too frequent for their tracebacks to be made nice; JAX may have been imported by others.
  jax.config.update('jax_traceback_filtering', 'off')
  return jax


@functools.cache
def _scope() -> Any:
  return load_jax().export.SymbolicScope()


@functools.cache
def symbol(name: str) -> Dim:
  """Returns the dimension symbol called `name`."""
  return load_jax().export.symbolic_shape(name, scope=_scope())[0]


def is_symbolic(value: Value) -> bool:
  """Tells whether the value is a symbolic dimension (and not an int)."""
  return type(value).__name__ == '_DimExpr'


def is_dim(value: Value) -> bool:
  return is_symbolic(value) or (isinstance(value, int) and not isinstance(value, bool))


_texts: dict[int, tuple[Dim, str]] = {}
_MOST_TEXTS = 100_000


def text_of(dim: Dim) -> str:
  """Returns the text of a size, made once for each object: writing and comparing long expressions is slow."""
  if not is_symbolic(dim):
    return str(dim)
  found = _texts.get(id(dim))
  if found is None or found[0] is not dim:
    if len(_texts) > _MOST_TEXTS:
      _texts.clear()
    found = _texts[id(dim)] = (dim, str(dim))
  return found[1]


def same(left: Dim, right: Dim) -> bool | None:
  """Tells whether two sizes are equal for all values of their symbols; None if it depends."""
  if left is right:
    return True
  if not is_symbolic(left) and not is_symbolic(right):
    return bool(left == right)
  texts = (text_of(left), text_of(right))
  if texts[0] == texts[1]:
    return True
  if texts not in _answers:
    difference = left - right
    _answers[texts] = None if is_symbolic(difference) else bool(difference == 0)
  return _answers[texts]


_answers: dict[tuple[str, str], bool | None] = {}


def quotient(left: Dim, right: Dim) -> Dim:
  """Returns `left // right`, with what both have in common cancelled."""
  if not is_symbolic(left) and not is_symbolic(right):
    return left // right
  return (symbol('unit') * 0 + left) // right if not is_symbolic(left) else left // right


def largest(left: Dim, right: Dim) -> Dim:
  return load_jax().core.max_dim(left, right)


def smallest(left: Dim, right: Dim) -> Dim:
  return load_jax().core.min_dim(left, right)


@functools.cache
def parsed(text: str) -> Dim | None:
  """Returns the size with this text, or None."""
  try:
    return int(text) if text.isdigit() else load_jax().export.symbolic_shape(text, scope=_scope())[0]
  except Exception:
    return None
