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
    text = _constant_text(part)
    if text is None:
      parts.append(part)
      continue
    before = _constant_text(parts.pop()) if parts and isinstance(parts[-1], ast.Constant) else None
    parts.append(ast.Constant((before or '') + text))
  texts = [_constant_text(part) for part in parts]
  known = [text for text in texts if text is not None]
  if len(known) == len(texts):
    return repr(''.join(known))
  return ast.unparse(ast.JoinedStr(parts))


def _constant_text(part: ast.expr) -> str | None:
  """Returns what a part of an f-string always reads as; None when that depends on a name or a format."""
  if isinstance(part, ast.Constant):
    return part.value if isinstance(part.value, str) else None
  plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
  inner = part.value if plain and isinstance(part, ast.FormattedValue) else None
  if isinstance(inner, ast.Constant) and isinstance(inner.value, (str, int)):
    return str(inner.value)
  return None
