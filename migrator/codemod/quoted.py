"""Linen names in annotations that are written as strings: `leaf: 'nn.Module'`."""

from __future__ import annotations

import ast

from .linen_names import LinenNames
from .text import Edits


def rename_quoted(annotation: ast.AST | None, names: LinenNames, edits: Edits) -> None:
  """Writes the Linen names in the strings of an annotation as NNX ones, in the quotes that are there."""
  for node in ast.walk(annotation) if annotation is not None else ():
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
      continue
    text = _renamed(node, node.value, names)
    if text != node.value:
      quote = edits.source.node(node)[:1]
      plain = quote in ('"', "'") and quote not in text and '\\' not in text
      edits.replace(node, f'{quote}{text}{quote}' if plain else repr(text))


def annotations_of(node: ast.AST) -> list[ast.expr]:
  """Returns the annotations that belong to a node: of an argument, a variable, or what a function returns."""
  if isinstance(node, (ast.arg, ast.AnnAssign)):
    return [node.annotation] if node.annotation is not None else []
  if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
    return [node.returns] if node.returns is not None else []
  return []


def _renamed(node: ast.Constant, written: str, names: LinenNames) -> str:
  """Returns the text of a string annotation with NNX names; as it is when it is no type (a string of a Literal)."""
  text = written.strip()
  try:
    tree = ast.parse(text, mode='eval')
  except (SyntaxError, ValueError):
    return written
  line_starts = [0]
  for line in text.encode().splitlines(keepends=True):
    line_starts.append(line_starts[-1] + len(line))
  found: list[tuple[int, int, str]] = []
  for part in ast.walk(tree):
    if isinstance(part, (ast.Name, ast.Attribute)):
      place = (
        line_starts[part.lineno - 1] + part.col_offset,
        line_starts[(part.end_lineno or part.lineno) - 1] + (part.end_col_offset or 0),
      )
      new = names.rename(ast.copy_location(part, node))
      if new is not None:
        found.append((*place, new))
  data = text.encode()
  for start, end, new in sorted(found, reverse=True):
    data = data[:start] + new.encode() + data[end:]
  return data.decode() if found else written
