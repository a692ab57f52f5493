"""The element type of an input, which only the call knows, where Linen gives it to a layer or a parameter."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from migrator.shapes.values import Array, Value

from .layer_call import Given


def is_input_dtype(node: ast.AST, value: Callable[[ast.AST], Value]) -> bool:
  """Tells whether an expression is the element type of an array: `x.dtype`."""
  return isinstance(node, ast.Attribute) and node.attr == 'dtype' and isinstance(value(node.value), Array)


def without_input_dtype(
  given: dict[str, Given], record: Any, value: Callable[[ast.AST], Value]
) -> tuple[dict[str, Given], str | None]:
  """Returns the arguments of a layer without `dtype=x.dtype`, and what is assumed by that.

  Left alone a layer computes in the type that its input and its weights have in common.
  """
  item = given.get('dtype')
  row = next((row for row in record.arguments if row.linen == 'dtype'), None)
  if item is None or row is None or row.linen_default is not None or not is_input_dtype(item.node, value):
    return given, None
  text = f'dtype={ast.unparse(item.node)} is left out: the same unless the weights are more precise than that array'
  return {name: other for name, other in given.items() if name != 'dtype'}, f'{text} (line {item.node.lineno})'
