"""Evaluating the expressions of a case where the model is."""
from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
from typing import Any


class ExpressionError(Exception):
  """An expression of a case failed; the message shows it and why."""


def evaluate(text: str, names: dict[str, Any]) -> Any:
  """Returns the value of a Python expression.

  Args:
    text: the expression; the modules it names ('zoo.vit.ViTConfig()') are imported for it.
    names: further names it may use.

  Raises:
    ExpressionError: it is no expression, or evaluating it failed.
  """
  try:
    tree = ast.parse(text.strip(), mode='eval')
    scope = {**names, **_imported(tree, names)}
    return eval(compile(tree, '<case>', 'eval'), scope)
  except Exception as error:
    raise ExpressionError(f'the expression {text!r} failed: {type(error).__name__}: {error}') from error


def _imported(tree: ast.Expression, names: dict[str, Any]) -> dict[str, Any]:
  dotted = {name for node in ast.walk(tree) if (name := _dotted(node)) is not None}
  roots = {name.split('.')[0] for name in dotted}
  wanted = {root for root in roots if root not in names and not hasattr(builtins, root) and _exists(root)}
  for name in sorted(dotted):
    if name.split('.')[0] in wanted:
      _import_longest(name.split('.'))
  return {root: importlib.import_module(root) for root in wanted}


def _dotted(node: ast.AST) -> str | None:
  parts: list[str] = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  return '.'.join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _exists(module: str) -> bool:
  return importlib.util.find_spec(module) is not None


def _import_longest(parts: list[str]) -> None:
  """Imports a, a.b, a.b.c as far as they are modules, so that `a.b.c.Name` can be read."""
  module = importlib.import_module(parts[0])
  for count in range(2, len(parts) + 1):
    if not hasattr(module, '__path__') or importlib.util.find_spec('.'.join(parts[:count])) is None:
      return
    module = importlib.import_module('.'.join(parts[:count]))
