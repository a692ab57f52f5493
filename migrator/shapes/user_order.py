"""The order in which classes are interpreted: users before what they use."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any


def users_first(project: Any, only: Collection[str] | None = None) -> list[str]:
  """Returns the names of the Linen classes so that a class comes after the classes that mention it."""
  names = sorted(
    name for name, found in project.classes.items() if found.is_linen and (only is None or name in only)
  )
  short: dict[str, list[str]] = {}
  for name in names:
    short.setdefault(project.classes[name].node.name, []).append(name)
  mentions = {name: _mentioned(project, project.classes[name], short) for name in names}
  users: dict[str, set[str]] = {name: set() for name in names}
  for name in names:
    for used in mentions[name]:
      if used != name and used in users:
        users[used].add(name)
  ordered: list[str] = []
  placed: set[str] = set()

  def place(name: str, path: tuple[str, ...]) -> None:
    if name in placed or name in path:
      return
    for user in sorted(users[name]):
      place(user, (*path, name))
    if name not in placed:
      placed.add(name)
      ordered.append(name)

  for name in names:
    place(name, ())
  return ordered


def _mentioned(project: Any, source: Any, short: dict[str, list[str]]) -> set[str]:
  found: set[str] = set()
  for node in ast.walk(source.node):
    text = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
    if text in short:
      same_module = [name for name in short[text] if name.split(':')[0] == source.module.name]
      found.update(same_module or short[text])
    elif text is not None and isinstance(getattr(node, 'ctx', None), ast.Load) and text[:1].isupper():
      resolved = project.resolve_node(
        source.module, node
      )  # an alias: `from .blocks import Residual as Block`
      if resolved in project.classes and project.classes[resolved].is_linen:
        found.add(resolved)
  return found
