"""Linen names in source text and what they are called in NNX."""
from __future__ import annotations

import ast
from typing import Any

from migrator.shapes.expressions import dotted_text
from rewrites.record import Helper
from rewrites.registry import canonical, function_helper, functions, layer_for, manual_reason

_DECORATORS = ('flax.linen.compact', 'flax.linen.nowrap')
_BASE = {'flax.linen.Module': 'nnx.Module'}


class LinenNames:
  """Renames references to Linen things in one module."""

  def __init__(self, project: Any, module: Any) -> None:
    self.project = project
    self.module = module
    self.helpers: dict[str, Helper] = {}
    self.imports: set[tuple[str, str | None]] = set()
    self.left: list[tuple[int, str]] = []
    self._functions = functions()

  def qualified(self, node: ast.AST, scope: ast.AST | None = None) -> str | None:
    """Returns 'flax.linen.X' if the node is a reference to a Linen thing."""
    text = dotted_text(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
    if text is None or isinstance(getattr(node, 'ctx', None), ast.Store):
      return None
    name = self.project.resolve(self.module, text, scope)
    return canonical(name) if name is not None and name.startswith('flax.linen.') else None

  def rename(self, node: ast.AST, scope: ast.AST | None = None) -> str | None:
    """Returns the NNX spelling of a reference to a Linen thing; None if the node is none.

    A name without counterpart is remembered in `left`.
    """
    name = self.qualified(node, scope)
    if name is None or name in _DECORATORS:
      return None
    new = self._new(name)
    if new is None:
      self.left.append((node.lineno, name))  # type: ignore[attr-defined]
    return new

  def _new(self, name: str) -> str | None:
    if name in _BASE:
      self.imports.add(('flax', 'nnx'))
      return _BASE[name]
    target = self._functions.get(name)
    if target is not None:
      return self.spell(target)
    helper = function_helper(name)
    if helper is not None:
      self.helpers[helper.name] = helper
      return helper.name
    record = layer_for(name)
    if record is not None:
      if record.helper is not None:
        self.helpers[record.helper.name] = record.helper
        return record.helper.name
      return self.spell(record.nnx)
    return None

  def spell(self, qualified: str) -> str:
    """Returns the usual spelling of a qualified name and notes the import it needs."""
    if qualified.startswith('flax.nnx.'):
      self.imports.add(('flax', 'nnx'))
      return qualified.removeprefix('flax.')
    if qualified.startswith('jax.numpy.'):
      self.imports.add(('jax.numpy', 'jnp'))
      return qualified.replace('jax.numpy.', 'jnp.', 1)
    root = qualified.split('.')[0]
    self.imports.add((root, None))
    return qualified

  def reason(self, name: str) -> str:
    return manual_reason(name) or f'{name.replace("flax.linen", "nn")} has no counterpart that the tool knows'
