"""The nodes of one syntax tree in text order: what is inside of what is answered by two numbers.

Walking a tree again for every question costs more than all questions together.
"""
from __future__ import annotations

import ast

# Leaves that say how a node is used; they are shared between nodes and have no place.
_MARKS = frozenset({'ctx', 'op', 'ops'})
_CHILDREN: dict[type[ast.AST], tuple[str, ...]] = {}


class Nodes:
  """The statements, expressions and their parts below `tree`, without operators and contexts."""

  def __init__(self, tree: ast.AST) -> None:
    self.order: list[ast.AST] = []
    self._parents: list[int] = []
    waiting: list[tuple[ast.AST, int]] = [(tree, -1)]
    while waiting:
      node, parent = waiting.pop()
      place = len(self.order)
      self.order.append(node)
      self._parents.append(parent)
      waiting += [(child, place) for child in reversed(_children(node))]
    self._places = {node: place for place, node in enumerate(self.order)}
    self._ends = list(range(1, len(self.order) + 1))
    for place in range(len(self.order) - 1, 0, -1):
      parent = self._parents[place]
      if self._ends[parent] < self._ends[place]:
        self._ends[parent] = self._ends[place]

  def walk(self, node: ast.AST) -> list[ast.AST]:
    """Returns a node and all nodes in it, in text order; also for a node of another tree."""
    place = self._places.get(node)
    return list(ast.walk(node)) if place is None else self.order[place:self._ends[place]]

  def inside(self, node: ast.AST, outer: ast.AST) -> bool:
    """Tells whether `node` is `outer` or lies in it."""
    place, first = self._places.get(node), self._places.get(outer)
    if first is None:
      return any(child is node for child in ast.walk(outer))
    return place is not None and first <= place < self._ends[first]

  def parent(self, node: ast.AST) -> ast.AST | None:
    """Returns the node that holds `node`; None for the tree itself and for nodes of other trees."""
    place = self._places.get(node)
    return None if place is None or self._parents[place] < 0 else self.order[self._parents[place]]

  def around(self, node: ast.AST) -> tuple[ast.AST, ...]:
    """Returns the nodes around `node`, innermost first."""
    found: list[ast.AST] = []
    outer = self.parent(node)
    while outer is not None:
      found.append(outer)
      outer = self.parent(outer)
    return tuple(found)

  def __contains__(self, node: ast.AST) -> bool:
    return node in self._places


def _children(node: ast.AST) -> list[ast.AST]:
  fields = _CHILDREN.get(type(node))
  if fields is None:
    fields = _CHILDREN[type(node)] = tuple(name for name in node._fields if name not in _MARKS)
  found: list[ast.AST] = []
  for name in fields:
    value = getattr(node, name, None)
    if isinstance(value, ast.AST):
      found.append(value)
    elif isinstance(value, list):
      found += [item for item in value if isinstance(item, ast.AST)]
  return found
