"""Functions of the repository that have nothing to do with arrays: downloads, look-ups, settings."""

from __future__ import annotations

import ast
from typing import Any

from .values import Closure

_ARRAYS = ('jax', 'numpy', 'flax', 'einops', 'optax')


def only_computes(it: Any, function: Closure) -> bool:
  """Tells whether a function of a module mentions no library of arrays and no class of modules.

  Given only what is known where a module is made, it returns something that is known there too.
  """
  if function.env or function.self_value is not None or not isinstance(function.node, ast.FunctionDef):
    return False
  return _plain(it, function.node, function.module, set())


def _plain(it: Any, node: ast.FunctionDef, module: Any, seen: set[int]) -> bool:
  if id(node) in seen:
    return True
  seen.add(id(node))
  for child in ast.walk(node):
    if not isinstance(child, ast.Name) or not isinstance(child.ctx, ast.Load):
      continue
    name = it.project.resolve(module, child.id, node)
    if name is None:
      continue
    if name.split('.')[0] in _ARRAYS or name in it.project.classes:
      return False
    found = it.project.function(name) if ':' in name else None
    if found is not None and not _plain(it, found[1], found[0], seen):
      return False
  return True
