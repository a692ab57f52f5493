"""`self.is_initializing()` is false in every call of an NNX module: the constructor runs no forward pass."""

from __future__ import annotations

import ast

from .text import Edits, SourceText


def settle(method: ast.FunctionDef, self_name: str, edits: Edits) -> None:
  """Replaces the question by its answer; branches it decides on lose their condition or go."""
  for node in _innermost_first(method):
    if isinstance(node, ast.If) and _decides(node.test, self_name) is not None:
      _decided(node, bool(_decides(node.test, self_name)), edits)
    elif isinstance(node, ast.IfExp) and _decides(node.test, self_name) is not None:
      edits.replace(node, edits.node(node.body if _decides(node.test, self_name) else node.orelse))
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
      rest = [value for value in node.values if _decides(value, self_name) is not True]
      if len(rest) < len(node.values) and rest:
        edits.replace(node, ' and '.join(edits.node(value) for value in rest))
    elif asks(node, self_name):
      edits.replace(node, 'False')


def asks(node: ast.AST, self_name: str) -> bool:
  """Tells whether the node is `self.is_initializing()`, or asks whether the weights are being made."""
  return (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Attribute)
    and isinstance(node.func.value, ast.Name)
    and node.func.value.id == self_name
    and (node.func.attr == 'is_initializing' or asks_for_params(node))
  )


def asks_for_params(node: ast.Call) -> bool:
  """Tells whether a call is `.is_mutable_collection('params')`: true while a model is initialised only."""
  return (
    isinstance(node.func, ast.Attribute)
    and node.func.attr == 'is_mutable_collection'
    and len(node.args) == 1
    and isinstance(node.args[0], ast.Constant)
    and node.args[0].value == 'params'
  )


def _decides(test: ast.expr, self_name: str) -> bool | None:
  """Returns the answer of a condition that asks nothing else, else None."""
  if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and asks(test.operand, self_name):
    return True
  return False if asks(test, self_name) else None


def _decided(node: ast.If, answer: bool, edits: Edits) -> None:
  source = edits.source
  body = node.body if answer else node.orelse
  start, end = source.line_start(source.own_start(node)), source.line_end(source.end(node) - 1)
  if source.slice(source.own_start(node), source.own_start(node) + 4) == 'elif':
    edits.replace(node.test, str(answer))
    return
  if not body:
    edits.replace_range(start, end, '' if not _only(node, source) else f'{source.indent(node)}pass\n')
    return
  first = source.leading_comments(body[0], start)
  text = edits.apply(first, source.line_end(source.end(body[-1]) - 1))
  edits.replace_range(start, end, _outdented(text, source.indent(body[0]), source.indent(node)))


def _only(node: ast.If, source: SourceText) -> bool:
  """Tells whether the statement is alone in its block, judging by the line above."""
  above = source.slice(
    source.line_start(source.line_start(source.own_start(node)) - 1),
    source.line_start(source.own_start(node)),
  )
  below = source.slice(
    source.line_end(source.end(node) - 1), source.line_end(source.line_end(source.end(node) - 1))
  )
  indent = len(source.indent(node))
  alone = not below.strip() or len(below) - len(below.lstrip()) < indent
  return above.rstrip().endswith(':') and alone


def _outdented(text: str, old: str, new: str) -> str:
  return ''.join(
    new + line[len(old) :] if line.startswith(old) else line for line in text.splitlines(keepends=True)
  )


def _innermost_first(method: ast.FunctionDef) -> list[ast.AST]:
  found: list[ast.AST] = []

  def visit(node: ast.AST) -> None:
    for child in ast.iter_child_nodes(node):
      visit(child)
    found.append(node)

  visit(method)
  return found
