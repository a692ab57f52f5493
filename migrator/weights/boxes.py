"""Boxes in a stored tree: a partitioned parameter is stored one level deeper, 'kernel/value'."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VALUE = 'value'
Path = tuple[str, ...]


def opened(tree: Any) -> Any | None:
  """Returns a stored variables dict, params tree or train state without the levels of boxes; None if it has none.

  A level counts as a box where it holds 'value' alone; outside the parameters and collections only where a
  parameter of that name is boxed, so that an optimizer's own entry 'value' stays.
  """
  if not isinstance(tree, Mapping):
    return None
  inside = tree.get('params', tree)
  boxed = set(_boxed(inside, ()))
  collections = {'params', *(name for name in tree if 'params' in tree and name not in ('opt_state', 'step'))}
  boxed_elsewhere = {path for name in collections & set(tree) for path in _boxed(tree[name], ())}
  if not boxed | boxed_elsewhere:
    return None
  return _without(tree, (), boxed | boxed_elsewhere)


def _boxed(node: Any, path: Path) -> list[Path]:
  if not isinstance(node, Mapping):
    return []
  if set(node) == {VALUE} and not isinstance(node[VALUE], Mapping | list | tuple):
    return [path] if path else []
  return [found for name, child in node.items() for found in _boxed(child, (*path, str(name)))]


def _without(node: Any, path: Path, boxed: set[Path]) -> Any:
  if isinstance(node, list | tuple):
    return [_without(child, (*path, str(position)), boxed) for position, child in enumerate(node)]
  if not isinstance(node, Mapping):
    return node
  if set(node) == {VALUE} and any(path[depth:] in boxed for depth in range(len(path))):
    return node[VALUE]
  return {name: _without(child, (*path, str(name)), boxed) for name, child in node.items()}
