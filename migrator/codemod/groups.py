"""Splits a project into groups of files that can be migrated each by itself.

Two files belong together when one of them may see a Linen class of the other: by inheriting, making or
naming it, or through a function, a table or a plain class that names it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from migrator.source.names import dotted
from rewrites.registry import layer_for

from .bridge.references import looking_up, meaning_of, scopes_of

_TABLES = (ast.Assign, ast.AnnAssign)


def independent(project: Any) -> list[list[str]]:
  """Returns the names of the project's modules in groups, each sorted; the groups are in order of their first module.

  Modules that have nothing to do with a Linen class make up one group, if there are any.
  """
  united = _Union(project.modules)
  linen = [found for found in project.classes.values() if found.is_linen]
  for found in linen:
    for base in found.mro:
      united.join(found.module.name, base.module.name)
  carriers = _carriers(project, linen)
  touched = {found.module.name for found in linen}
  for module in [*project.modules.values(), *looking_up(project, touched).values()]:
    for other in (*_seen(project, module, carriers), *_looked_up(project, module)):
      united.join(module.name, other)
      touched |= {module.name, other}
  groups: dict[str, list[str]] = {}
  for name in sorted(project.modules):
    groups.setdefault(united.root(name) if name in touched else '', []).append(name)
  return sorted(groups.values())


def joined(groups: list[list[str]], strays: Iterable[set[str]]) -> list[list[str]]:
  """Returns the groups with those put together that share a module with one of the sets."""
  found = [set(group) for group in groups]
  for modules in strays:
    meeting = [group for group in found if group & modules]
    found = [group for group in found if not group & modules] + [set().union(*meeting)]
  return sorted(sorted(group) for group in found if group)


class _Union:
  """Sets of names that grow together."""

  def __init__(self, names: Iterable[str]) -> None:
    self._above = {name: name for name in names}

  def root(self, name: str) -> str:
    while self._above.setdefault(name, name) != name:
      self._above[name] = self._above[self._above[name]]
      name = self._above[name]
    return name

  def join(self, name: str, other: str) -> None:
    first, second = sorted((self.root(name), self.root(other)))
    self._above[second] = first


def _carriers(project: Any, linen: Iterable[Any]) -> dict[str, set[str]]:
  """Returns the names through which a Linen class may be seen, by the module that defines them.

  Besides the classes themselves: functions, tables and plain classes whose text names one; functions and tables with layers.
  """
  found: dict[str, set[str]] = {}
  for item in linen:
    found.setdefault(item.module.name, set()).update(item.name.partition(':')[2].split('.'))
  nodes = {item.node for item in linen}
  size = -1
  while size != sum(map(len, found.values())):
    size = sum(map(len, found.values()))
    for module in project.modules.values():
      if not (project.may_use_linen(module) or _mentions(project, module, found)):
        continue
      for statement in module.tree.body:
        if statement in nodes or not (names := _bound(statement)):
          continue
        texts, holds_layer = _meanings(project, module, statement)
        if holds_layer or any(_carried(text, found) for text in texts):
          found.setdefault(module.name, set()).update(names)
  return found


def _mentions(project: Any, module: Any, carriers: dict[str, set[str]]) -> bool:
  """Tells whether the text of a module leaves it possible that it names what another module defines."""
  file = project.index.files.get(module.name)
  return file is None or any(
    name.encode() in file.words for home, names in carriers.items() if home != module.name for name in names
  )


def _carried(text: str, carriers: dict[str, set[str]]) -> str | None:
  """Returns the module of 'package.module:Name.attribute' if the name is one through which classes are seen."""
  home, _, path = text.partition(':')
  return home if path and not carriers.get(home, set()).isdisjoint(path.split('.')) else None


def _meanings(project: Any, module: Any, statement: ast.stmt) -> tuple[set[str], bool]:
  """Returns the things of the project that a statement names, and whether it is a function or table with a Linen layer."""
  scopes = scopes_of(module)
  texts = {meaning_of(project, module, node) or '' for node in module.nodes.walk(statement) if node in scopes}
  is_maker = not isinstance(statement, ast.ClassDef) and any(layer_for(text) is not None for text in texts)
  return {text for text in texts if ':' in text}, is_maker


def _bound(statement: ast.stmt) -> list[str]:
  if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
    return [statement.name]
  if not isinstance(statement, _TABLES):
    return []
  targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
  return [target.id for target in targets if isinstance(target, ast.Name)]


def _seen(project: Any, module: Any, carriers: dict[str, set[str]]) -> set[str]:
  """Returns the modules whose carriers a module names."""
  if not _mentions(project, module, carriers):
    return set()
  texts = {meaning_of(project, module, node) or '' for node in scopes_of(module)}
  return {home for text in texts if (home := _carried(text, carriers)) is not None}


def _looked_up(project: Any, module: Any) -> Iterator[str]:
  """Yields the modules in which a module looks up names that it computes, and the homes of what they hold."""
  file = project.index.files.get(module.name)
  if file is not None and b'getattr' not in file.words:
    return
  for node in module.nodes.order:
    if not (isinstance(node, ast.Call) and dotted(node.func) == 'getattr' and len(node.args) > 1):
      continue
    name = project.resolve_node(module, node.args[0])
    target = project.modules.get(name) if name is not None else None
    if target is None:
      continue
    yield target.name
    for bound in target.bindings:
      found = project.resolve(target, bound)
      if found is not None and ':' in found and found.partition(':')[0] in project.modules:
        yield found.partition(':')[0]
