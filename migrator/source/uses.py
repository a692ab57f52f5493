"""Every place where a module writes a name, and what that name means there."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from migrator.source.bindings import import_module
from migrator.source.modules import Definition, Scope, SourceModule
from migrator.source.names import Entity, Resolver, dotted

if TYPE_CHECKING:
  from migrator.source.project import Project

Written: TypeAlias = ast.Import | ast.ImportFrom | ast.Name | ast.Attribute

_LINE_END = re.compile(r'\r\n|\r|\n')


class Use(NamedTuple):
  """One name or dotted chain in the text: 1-based line, 0-based column in characters, resolved name."""

  line: int
  column: int
  name: str


def uses(project: Project, module: SourceModule) -> list[Use]:
  """Returns every name of `module` that resolves, in text order.

  Dotted chains count once, as the longest chain; imports and quoted annotations count too.
  """
  lines = _LINE_END.split(module.text.removeprefix('\ufeff'))
  found: set[Use] = set()
  for node, scope in written_names(module):
    for entity in _meanings(project.resolver, module, node, scope):
      found.add(Use(node.lineno, _column(lines[node.lineno - 1], node.col_offset), entity.text))
  return sorted(found)


def _meanings(resolver: Resolver, module: SourceModule, node: Written,
              scope: Scope | None) -> Iterator[Entity]:
  if isinstance(node, ast.Import):
    found = [resolver.imported(module, alias.name) for alias in node.names]
  elif isinstance(node, ast.ImportFrom):
    names = [None if alias.name == '*' else alias.name for alias in node.names]
    found = [resolver.imported(module, import_module(node), name) for name in names]
  else:
    found = [resolver.resolve(module, dotted(node) or '', scope)]
  yield from (entity for entity in found if entity is not None)


def _column(line: str, offset: int) -> int:
  """Turns the byte offset of `ast` into characters."""
  return offset if line.isascii() else len(line.encode()[:offset].decode(errors='replace'))


def written_names(module: SourceModule) -> Iterator[tuple[Written, Scope | None]]:
  """Yields every import, and every name or dotted chain that is read, with the scope it stands in."""
  yield from _Walker(module).walk()


class _Walker:
  """Visits a module once, knowing the scope of each expression."""

  def __init__(self, module: SourceModule):
    self._scopes = module.definitions.scopes
    self._stack: list[tuple[ast.AST, Scope | None]] = [(module.tree, None)]

  def walk(self) -> Iterator[tuple[Written, Scope | None]]:
    while self._stack:
      node, scope = self._stack.pop()
      if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node, scope
      elif isinstance(node, (ast.Name, ast.Attribute)):
        if dotted(node) is None:
          self._push(node, scope)
        elif not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)):
          yield node, scope
      elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        self._definition(node, scope)
      elif isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        self._push(node, Scope(node, scope))
      else:
        self._push(node, scope)

  def _push(self, node: ast.AST, scope: Scope | None) -> None:
    for child in ast.iter_child_nodes(node):
      self._stack.append((child, scope))
    if isinstance(node, (ast.arg, ast.AnnAssign)):
      self._quoted(node.annotation, scope)

  def _definition(self, node: Definition, scope: Scope | None) -> None:
    """Decorators, bases, defaults and annotations belong outside, the body inside."""
    body = set(map(id, node.body))
    for child in ast.iter_child_nodes(node):
      self._stack.append((child, self._scopes[node] if id(child) in body else scope))
    if not isinstance(node, ast.ClassDef):
      self._quoted(node.returns, scope)

  def _quoted(self, annotation: ast.expr | None, scope: Scope | None) -> None:
    """Visits the expressions written as strings in an annotation, at the place of the string."""
    for node in ast.walk(annotation) if annotation is not None else ():
      if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        continue
      try:
        tree = ast.parse(node.value.strip(), mode='eval')
      except (SyntaxError, ValueError):
        continue  # A string of a Literal, not a type.
      for part in ast.walk(tree):
        if isinstance(part, ast.expr):
          ast.copy_location(part, node)
      self._stack.append((tree, scope))
