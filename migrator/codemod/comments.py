"""Comments that stood inside a creation: the new class keeps every comment of the old one."""

from __future__ import annotations

import ast
import collections
import io
import re
import tokenize
from collections.abc import Iterable, Sequence
from typing import Any

from .text import SourceText


def restored(source: SourceText, node: ast.ClassDef, text: str, members: Sequence[Any]) -> str:
  """Returns the text of the new class with the comments that went missing.

  A comment from inside a creation goes above the statement that makes the member, any other one above the
  method it was in.
  """
  old = _comments(source.slice(0, len(source.data)), _first_line(node), node.end_lineno or node.lineno)
  missing = collections.Counter(comment for _, comment in old) - _counted(text)
  if not missing:
    return text
  lines = text.split('\n')
  for line, comment in sorted(old, key=lambda item: (_member(members, item[0]) is None, item[0])):
    if missing[comment] > 0:
      missing[comment] -= 1
      _insert(lines, _place(lines, node, _member(members, line), line), comment)
  return '\n'.join(lines)


def _first_line(node: ast.ClassDef) -> int:
  return min([node.lineno, *(item.lineno for item in node.decorator_list)])


def _comments(text: str, first: int, last: int) -> list[tuple[int, str]]:
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  return [
    (token.start[0], token.string.rstrip())
    for token in tokens
    if token.type == tokenize.COMMENT and first <= token.start[0] <= last
  ]


def _counted(text: str) -> collections.Counter[str]:
  body = f'if True:\n{text}' if text[:1] in ' \t' else text
  return collections.Counter(comment for _, comment in _comments(body, 0, len(body)))


def _member(members: Iterable[Any], line: int) -> Any:
  """Returns the member whose creation, the outermost one, spans a line."""
  return next(
    (
      member
      for member in members
      if member.inside is None
      and member.creation.node.lineno <= line <= (member.creation.node.end_lineno or 0)
    ),
    None,
  )


def _place(lines: list[str], node: ast.ClassDef, member: Any, line: int) -> int:
  if member is not None:
    made = re.compile(
      rf'\s*self\.{re.escape(member.attribute)}(\[.*\])? = |\s*self\.{re.escape(member.attribute)}\.(append|extend)\('
    )
    found = next((index for index, text in enumerate(lines) if made.match(text)), None)
    if found is not None:
      return found
  method = next(
    (
      item
      for item in node.body
      if isinstance(item, ast.FunctionDef) and _first(item) <= line <= (item.end_lineno or 0)
    ),
    None,
  )
  name = method.name if method is not None and method.name != 'setup' else '__init__'
  head = re.compile(rf'\s*(async )?def {name}\(')
  return next((index for index, text in enumerate(lines) if head.match(text)), len(lines) - 1)


def _first(node: ast.FunctionDef) -> int:
  return min([node.lineno, *(item.lineno for item in node.decorator_list)])


def _insert(lines: list[str], place: int, comment: str) -> None:
  indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
  lines.insert(place, indent + comment)
