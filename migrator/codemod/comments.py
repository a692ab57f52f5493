"""Comments that stood inside a creation: the new class keeps every comment of the old one."""

from __future__ import annotations

import ast
import collections
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Sequence
from typing import Any

from .text import SourceText

_STRING = r'''"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|''' r"""'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''|"""
_PLAIN_STRING = r'''"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|'''
_TOKEN = re.compile(_STRING + _PLAIN_STRING + r'(?P<comment>\#[^\n]*)', re.DOTALL)
_FORMATTED = re.compile(r"""(?i)\b(?:f|rf|fr)['"]""")


def restored(source: SourceText, node: ast.ClassDef, text: str, members: Sequence[Any]) -> str:
  """Returns the text of the new class with the comments that went missing.

  A comment from inside a creation goes above the statement that makes the member, one from inside another
  assignment above that, any other one above the method it was in.
  """
  first = _first_line(node)
  own = source.slice(source.starts[first - 1], source.line_end(source.end(node) - 1))
  old = [(line + first - 1, comment) for line, comment in comments(own)]
  missing = collections.Counter(comment for _, comment in old)
  if missing:
    missing -= collections.Counter(comment for _, comment in comments(text))
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


def comments(text: str) -> list[tuple[int, str]]:
  """Returns the comments of whole lines of Python, each with its line, counted from 1."""
  if '#' not in text:
    return []
  if sys.version_info >= (3, 12) and _FORMATTED.search(text):
    return _tokenized(text)  # such a string may hold quotes of its own kind
  found: list[tuple[int, str]] = []
  line, position = 1, 0
  for token in _TOKEN.finditer(text):
    if token['comment'] is not None:
      line += text.count('\n', position, token.start())
      position = token.start()
      found.append((line, token['comment'].rstrip()))
  return found


def _tokenized(text: str) -> list[tuple[int, str]]:
  indented = text[:1] in ' \t'
  tokens = tokenize.generate_tokens(io.StringIO(f'if True:\n{text}' if indented else text).readline)
  return [
    (token.start[0] - indented, token.string.rstrip()) for token in tokens if token.type == tokenize.COMMENT
  ]


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
  target = _target(method, line)
  stored = re.compile(rf'\s*{re.escape(target)} = ')
  found = next((index for index, text in enumerate(lines) if stored.match(text)), None) if target else None
  if found is not None:
    return found
  name = method.name if method is not None and method.name != 'setup' else '__init__'
  head = re.compile(rf'\s*(async )?def {name}\(')
  return next((index for index, text in enumerate(lines) if head.match(text)), len(lines) - 1)


def _target(method: ast.FunctionDef | None, line: int) -> str:
  """Returns what the assignment that spans a line stores to, as it is written; nothing if there is none."""
  around = [
    item
    for item in (ast.walk(method) if method is not None else ())
    if isinstance(item, ast.Assign) and item.lineno <= line <= (item.end_lineno or 0)
  ]
  return ast.unparse(around[-1].targets[0]) if around else ''


def _first(node: ast.FunctionDef) -> int:
  return min([node.lineno, *(item.lineno for item in node.decorator_list)])


def _insert(lines: list[str], place: int, comment: str) -> None:
  indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
  lines.insert(place, indent + comment)
