"""Which statements of a method compute something that is read afterwards."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .names_in import read, targets

_BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try)


def dead(body: list[ast.stmt], candidates: Iterable[ast.stmt], hidden: set[int], always: set[str]) -> set[int]:
  """Returns the ids of the candidates whose variables nothing reads before they are assigned again.

  hidden: nodes that are not read any more; always: variables that are read in any case.
  """
  chosen = {id(node) for node in candidates}
  captured = always | {
    name for statement in body for node in ast.walk(statement) if isinstance(node, (ast.FunctionDef, ast.Lambda))
    and id(node) not in hidden and id(node) not in _inside(hidden, statement) and id(node) not in chosen
    for name in read(node, hidden)
  }
  gone: set[int] = set()
  while True:
    flow = _Flow(chosen, gone, hidden, captured)
    flow.block(body, set())
    found = chosen - flow.needed
    if found == gone:
      return gone
    gone = found


def _inside(hidden: set[int], statement: ast.stmt) -> set[int]:
  """Returns the ids of everything below the hidden nodes of a statement."""
  return {
    id(child) for node in ast.walk(statement) if id(node) in hidden for child in ast.walk(node)
  }


class _Flow:
  """One pass from the end of a method to its start."""

  def __init__(self, chosen: set[int], gone: set[int], hidden: set[int], always: set[str]) -> None:
    self.chosen = chosen
    self.gone = gone
    self.hidden = hidden
    self.always = always
    self.needed: set[int] = set()

  def block(self, body: list[ast.stmt], after: set[str]) -> set[str]:
    """Returns the variables that are read from the start of a block on."""
    live = set(after)
    for statement in reversed(body):
      live = self._statement(statement, live)
    return live

  def _statement(self, node: ast.stmt, after: set[str]) -> set[str]:
    bound = targets(node)
    if id(node) in self.chosen and bound & (after | self.always):
      self.needed.add(id(node))
    if id(node) in self.gone and not isinstance(node, _BLOCKS):
      return after
    if isinstance(node, ast.If):
      return self.block(node.body, after) | self.block(node.orelse, after) | self._test(node, node.test)
    if isinstance(node, (ast.For, ast.While)):
      head = node.iter if isinstance(node, ast.For) else node.test
      live = after | self.block(node.orelse, after)
      for _ in range(3):
        live |= self.block(node.body, live)
      return live | read(head, self.hidden)
    if isinstance(node, (ast.With, ast.Try)):
      live = set(after)
      for part in ('finalbody', 'handlers', 'orelse', 'body'):
        for item in reversed(getattr(node, part, [])):
          inner = item.body if isinstance(item, ast.ExceptHandler) else [item]
          live |= self.block(inner, live)
      return live | {name for item in getattr(node, 'items', []) for name in read(item, self.hidden)}
    kills = bound if isinstance(node, (ast.Assign, ast.AnnAssign)) else set()
    return (after - kills) | read(node, self.hidden)

  def _test(self, node: ast.If, test: ast.expr) -> set[str]:
    """A condition over nothing but statements that go is not read."""
    inside = [item for part in (node.body, node.orelse) for item in part]
    return set() if inside and all(id(item) in self.gone for item in inside) else read(test, self.hidden)
