"""Sizes behind a loop of other code: what its last pass set is written as the last element it ran over."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from . import oracle
from .containers import Iterated
from .symbols import SymbolInfo
from .values import Array, Opaque, Value


def settled_elsewhere(it: Any, env: dict[str, Value], loop: ast.For, iterable: Value) -> dict[str, Value]:
  """Returns the variables behind a loop, where a size that every pass sets to the loop variable is the last element.

  `for size in self.sizes: x = nn.Dense(size)(x)` leaves an array of `self.sizes[-1]` features.  The class that
  calls this code does not have the variable of the loop.
  """
  return {name: _settled(it, value, loop, iterable) for name, value in env.items()}


def _settled(it: Any, value: Value, loop: ast.For, iterable: Value) -> Value:
  if isinstance(value, Array):
    dims = tuple(_settled(it, dim, loop, iterable) for dim in value.shape)
    changed = any(a is not b for a, b in zip(dims, value.shape))
    return dataclasses.replace(value, shape=dims) if changed else value
  info = it.table.info(oracle.text_of(value)) if oracle.is_symbolic(value) else None
  if info is None or info.kind != 'carried' or info.loop is not loop or not oracle.is_symbolic(info.update):
    return value
  update = it.table.info(oracle.text_of(info.update))
  if update is None or update.kind != 'local' or update.loop is not loop:
    return value
  last = _last(it, iterable, loop.target, update.source, loop)
  return value if last is None else last


def _last(it: Any, iterable: Value, target: ast.expr, name: str, loop: ast.For) -> Any:
  """Returns the last value of one loop variable, if it can be written outside of the loop."""
  if isinstance(iterable, (tuple, list)) and iterable:
    return _bound(iterable[-1], target, name)
  if isinstance(iterable, Iterated) and isinstance(target, (ast.Tuple, ast.List)):
    found = [_last(it, part, sub, name, loop) for part, sub in zip(iterable.parts, target.elts)]
    return next((item for item in found if item is not None), None)
  if not isinstance(target, ast.Name) or target.id != name:
    return None
  if isinstance(iterable, Opaque) and iterable.source.startswith('self.'):
    it.note(loop.lineno, f'{iterable.source} is taken to have an element')
    text = f'{iterable.source}[-1]'
    return it.table.new(text, SymbolInfo('field', source=text))
  return None


def _bound(value: Value, target: ast.expr, name: str) -> Any:
  """Returns the size that a name gets where a value is assigned to a target."""
  if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (tuple, list)):
    found = [_bound(part, sub, name) for part, sub in zip(value, target.elts)]
    return next((item for item in found if item is not None), None)
  return value if isinstance(target, ast.Name) and target.id == name and oracle.is_dim(value) else None
