"""Conditions that a call with constant arguments decides."""

from __future__ import annotations

import ast
from collections.abc import Mapping

_NEVER_NONE = (ast.Lambda, ast.Tuple, ast.List, ast.Dict, ast.JoinedStr)


def decided(test: ast.expr, values: Mapping[str, ast.expr]) -> bool | None:
  """Returns the truth of a condition on parameters whose values are known, None if it is not decided.

  values: arguments by parameter, for the parameters that keep their value.
  """
  if isinstance(test, ast.Name) or isinstance(test, ast.Constant):
    found = _constant(test, values)
    return None if found is None else bool(found[0])
  if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
    inner = decided(test.operand, values)
    return None if inner is None else not inner
  if isinstance(test, ast.BoolOp):
    parts = [decided(item, values) for item in test.values]
    ends = isinstance(test.op, ast.Or)
    if parts[0] is ends:
      return ends
    return (not ends) if all(part is (not ends) for part in parts) else None
  if isinstance(test, ast.Compare) and len(test.ops) == 1:
    return _compared(test.left, test.ops[0], test.comparators[0], values)
  return None


def _compared(
  left: ast.expr, operator: ast.cmpop, right: ast.expr, values: Mapping[str, ast.expr]
) -> bool | None:
  first, second = _constant(left, values), _constant(right, values)
  if isinstance(operator, (ast.Is, ast.IsNot)) and second == (None,):
    argument = values.get(left.id) if isinstance(left, ast.Name) else None
    if isinstance(argument, _NEVER_NONE):
      return isinstance(operator, ast.IsNot)
    if first is not None:
      return (first[0] is None) == isinstance(operator, ast.Is)
  if first is None or second is None:
    return None
  if isinstance(operator, (ast.Eq, ast.NotEq)):
    return (first[0] == second[0]) == isinstance(operator, ast.Eq)
  return None


def _constant(node: ast.expr, values: Mapping[str, ast.expr]) -> tuple[object] | None:
  if isinstance(node, ast.Name):
    argument = values.get(node.id)
    return (argument.value,) if isinstance(argument, ast.Constant) else None
  return (node.value,) if isinstance(node, ast.Constant) else None


class Substituted(ast.NodeTransformer):
  """An expression with other expressions in the place of names."""

  def __init__(self, values: Mapping[str, ast.expr]) -> None:
    self.values = values

  def visit_Name(self, node: ast.Name) -> ast.expr:
    return self.values.get(node.id, node)


def text_with(node: ast.JoinedStr, values: Mapping[str, ast.expr]) -> str:
  """Returns an f-string with expressions in the place of names; constants become part of the text."""
  import copy

  changed = Substituted(values).visit(copy.deepcopy(node))
  parts: list[ast.expr] = []
  for part in changed.values:
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
    if plain and isinstance(inner, ast.Constant) and isinstance(inner.value, (str, int)):
      part = ast.Constant(str(inner.value))
    if parts and isinstance(part, ast.Constant) and isinstance(parts[-1], ast.Constant):
      parts[-1] = ast.Constant(parts[-1].value + part.value)
    else:
      parts.append(part)
  if all(isinstance(part, ast.Constant) for part in parts):
    return repr(''.join(part.value for part in parts if isinstance(part, ast.Constant)))
  return ast.unparse(ast.JoinedStr(parts))
