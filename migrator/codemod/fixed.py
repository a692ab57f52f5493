"""Whether a local variable of a method is computed from what the constructor knows already."""

from __future__ import annotations

import ast
from collections.abc import Callable

from .names_in import bound_by, changed, targets

_LOOPS = (ast.For, ast.While)


class FixedNames:
  """Local variables of one method.

  method: the method; names: its local variables; made: tells whether an expression makes or reads a variable of the
  module, or is only known at the call; is_size: tells whether an expression gives a size or sizes.
  """

  def __init__(
    self,
    method: ast.FunctionDef,
    names: set[str],
    made: Callable[[ast.AST], bool],
    is_size: Callable[[ast.AST], bool],
  ) -> None:
    self.method = method
    self.names = names
    self.made = made
    self.is_size = is_size
    arguments = method.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    self.arguments = {item.arg for item in listed if item is not None}
    self.receiver = next(iter(item.arg for item in (*arguments.posonlyargs, *arguments.args)), '')
    self.definitions: dict[str, list[ast.AST]] = {}
    for node in ast.walk(method):
      for name in changed(node) if isinstance(node, ast.stmt) else targets(node):
        self.definitions.setdefault(name, []).append(node)
    self._active: set[tuple[str, int]] = set()

  def is_fixed(self, name: str, line: int) -> bool:
    """Tells whether the variable, as it is in a line, depends on nothing that only a call knows."""
    if name in self.arguments or name not in self.definitions:
      return False
    key = name, line
    if key in self._active:
      return True
    self._active.add(key)
    try:
      reaching = [node for node in self.definitions[name] if _line(node) < self.end(line)]
      # What is changed in place is not the value of one statement that could be moved.
      return bool(reaching) and all(name in targets(node) and self._computed(node) for node in reaching)
    finally:
      self._active.discard(key)

  def stored_before(self, name: str, node: ast.expr) -> bool:
    """Tells whether the variable may have been bound in the method before an expression is read."""
    found = self.definitions.get(name, [])
    if found and self.end(node.lineno) > node.lineno:
      return True  # in a loop what stands behind it comes before it as well
    return any(_line(item) <= node.lineno and all(child is not node for child in ast.walk(item)) for item in found)

  def only_condition(self, name: str, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """Returns the condition under which a variable that began as None has a value at an expression, and that value.

    None if it does not begin so, is bound in more ways than one, or if the expression is in a loop.
    """
    found = self.definitions.get(name, [])
    if name in self.arguments or self.end(node.lineno) > node.lineno:
      return None
    before = [item for item in found if _line(item) <= node.lineno and all(child is not node for child in ast.walk(item))]
    body = self.method.body
    branches = [item for item in body if isinstance(item, ast.If) and not item.orelse and before[-1:] and before[-1] in item.body]
    if len(before) != 2 or before[0] not in body or not branches:
      return None
    values = [item.value for item in before if isinstance(item, ast.Assign) and len(item.targets) == 1]
    none = len(values) == 2 and isinstance(values[0], ast.Constant) and values[0].value is None
    return (branches[0].test, values[1]) if none else None

  def end(self, line: int) -> int:
    """Returns the line behind which nothing is seen in a line: the end of the loop around it, or the line itself."""
    ends = [
      loop.end_lineno or 0 for loop in ast.walk(self.method)
      if isinstance(loop, _LOOPS) and loop.lineno < line <= (loop.end_lineno or 0)
    ]
    return max([line, *(end + 1 for end in ends)])

  def _computed(self, node: ast.AST) -> bool:
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
      return self._expression(node.value, set())
    if isinstance(node, ast.For):
      return self._expression(node.iter, set())
    return False

  def _expression(self, node: ast.AST, hidden: set[str]) -> bool:
    if self.is_size(node):
      return True
    if self.made(node):
      return False
    if isinstance(node, ast.Name) and node.id in self.names - {self.receiver} - hidden:
      return self.is_fixed(node.id, node.lineno)
    inner = hidden | bound_by(node)
    return all(self._expression(child, inner) for child in ast.iter_child_nodes(node))


def _line(node: ast.AST) -> int:
  return node.lineno  # type: ignore[attr-defined]


def asks_none(node: ast.expr) -> tuple[str, bool] | None:
  """Returns the variable that `x is None` or `x is not None` asks for, and whether for something given."""
  if (
    isinstance(node, ast.Compare)
    and len(node.ops) == 1
    and isinstance(node.ops[0], (ast.Is, ast.IsNot))
    and isinstance(node.left, ast.Name)
    and isinstance(node.comparators[0], ast.Constant)
    and node.comparators[0].value is None
  ):
    return node.left.id, isinstance(node.ops[0], ast.IsNot)
  return None
