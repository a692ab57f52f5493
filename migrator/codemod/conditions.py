"""Conditions in source text: their negation, and branches that leave the function."""

from __future__ import annotations

import ast

_OPPOSITE = {
  ast.Eq: '!=',
  ast.NotEq: '==',
  ast.Is: 'is not',
  ast.IsNot: 'is',
  ast.In: 'not in',
  ast.NotIn: 'in',
}
_SIGNS = {ast.Eq: '==', ast.NotEq: '!=', ast.Is: 'is', ast.IsNot: 'is not', ast.In: 'in', ast.NotIn: 'not in'}


def negated(node: ast.expr, text: str) -> str:
  """Returns the opposite of a condition that is written as `text`."""
  if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and text.startswith('not '):
    return text.removeprefix('not ').strip()
  if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _SIGNS:
    sign = f' {_SIGNS[type(node.ops[0])]} '
    if text.count(sign) == 1 and ' and ' not in text and ' or ' not in text:
      return text.replace(sign, f' {_OPPOSITE[type(node.ops[0])]} ')
  plain = (
    isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) and ' ' not in text.split('(')[0]
  )
  return f'not {text}' if plain else f'not ({text})'


def leaving_branch(statement: ast.stmt) -> str | None:
  """Returns the branch of an `if` after which the function or the pass of a loop is over, if only one is."""
  if not isinstance(statement, ast.If):
    return None
  body, orelse = _leaves(statement.body), _leaves(statement.orelse)
  if body == orelse:
    return None
  return 'body' if body else 'orelse'


def _leaves(body: list[ast.stmt]) -> bool:
  if not body:
    return False
  last = body[-1]
  if isinstance(last, ast.If):
    return _leaves(last.body) and _leaves(last.orelse)
  return isinstance(last, (ast.Return, ast.Continue))
