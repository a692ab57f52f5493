"""Source text addressed by syntax tree nodes: segments, replacements inside segments, statement blocks."""

from __future__ import annotations

import ast
import textwrap
import weakref
from typing import Any


class SourceText:
  """The text of one module, sliced by `ast` positions (which count UTF-8 bytes).

  A text with Windows line ends is held with plain ones; `native_ends` gives them back.
  """

  def __init__(self, text: str) -> None:
    self.windows = '\r\n' in text and text.count('\r\n') == text.count('\n')
    self.data = (text.replace('\r\n', '\n') if self.windows else text).encode()
    self.starts = [0]
    for line in self.data.splitlines(keepends=True):
      self.starts.append(self.starts[-1] + len(line))

  def start(self, node: ast.AST) -> int:
    decorators = getattr(node, 'decorator_list', None)
    offset = self.own_start(decorators[0] if decorators else node)
    return self.data.rindex(b'@', 0, offset) if decorators else offset

  def own_start(self, node: ast.AST) -> int:
    return self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]

  def end(self, node: ast.AST) -> int:
    return self.starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

  def native_ends(self, text: str) -> str:
    """Returns a new text of the module with the line ends of the old one."""
    return text.replace('\n', '\r\n') if self.windows else text

  def slice(self, start: int, end: int) -> str:
    return self.data[start:end].decode()

  def node(self, node: ast.AST) -> str:
    return self.slice(self.own_start(node), self.end(node))

  def line_start(self, offset: int) -> int:
    return self.data.rfind(b'\n', 0, offset) + 1

  def line_end(self, offset: int) -> int:
    """Returns the offset behind the line break of the line that `offset` is in."""
    found = self.data.find(b'\n', offset)
    return len(self.data) if found < 0 else found + 1

  def indent(self, node: ast.AST) -> str:
    start = self.line_start(self.own_start(node))
    line = self.slice(start, self.own_start(node))
    return line[: len(line) - len(line.lstrip())]

  def leading_comments(self, statement: ast.stmt, floor: int) -> int:
    """Returns the offset where the comment lines directly above a statement begin, not before `floor`."""
    start = self.line_start(self.start(statement))
    while start > floor:
      above = self.line_start(start - 1)
      if above < floor or not self.slice(above, start).strip().startswith('#'):
        break
      start = above
    return start


_TEXTS: weakref.WeakKeyDictionary[Any, SourceText] = weakref.WeakKeyDictionary()


def text_of(module: Any) -> SourceText:
  """Returns the text of a module of the project; it is prepared once."""
  if module not in _TEXTS:
    _TEXTS[module] = SourceText(module.text)
  return _TEXTS[module]


class Edits:
  """Replacements of byte ranges; inner ones are applied inside the text of outer segments."""

  def __init__(self, source: SourceText) -> None:
    self.source = source
    self.items: dict[tuple[int, int], str] = {}

  def replace(self, node: ast.AST, text: str) -> None:
    self.items[(self.source.own_start(node), self.source.end(node))] = text

  def replace_range(self, start: int, end: int, text: str) -> None:
    self.items[(start, end)] = text

  def apply(self, start: int, end: int) -> str:
    """Returns the text of a range with all replacements that lie in it; an outer one hides inner ones."""
    chosen: list[tuple[int, int, str]] = []
    for (first, last), text in sorted(self.items.items(), key=_outer_first):
      if first < start or last > end or (chosen and first < chosen[-1][1]):
        continue
      chosen.append((first, last, text))
    parts, position = [], start
    for first, last, text in chosen:
      parts += [self.source.slice(position, first), text]
      position = last
    return ''.join([*parts, self.source.slice(position, end)])

  def node(self, node: ast.AST) -> str:
    return self.apply(self.source.own_start(node), self.source.end(node))


def _outer_first(item: tuple[tuple[int, int], str]) -> tuple[int, bool, int]:
  """Insertions come before the replacement that starts at the same place, outer replacements before inner ones."""
  (first, last), _ = item
  return first, last > first, -last


def standalone(text: str) -> str:
  """Returns an expression as it may stand behind `return` or `=`: lines that outer brackets held together get their own."""
  if '\n' not in text:
    return text
  try:
    ast.parse(text, mode='eval')
    return text
  except SyntaxError:
    plain, spread = f'({text})', '(\n' + textwrap.indent(text, '    ') + '\n)'
  same = ast.dump(ast.parse(plain, mode='eval')) == ast.dump(ast.parse(spread, mode='eval'))
  return spread if same else plain  # a text of several lines in quotes must not move


def reindent(text: str, old: str, new: str) -> str:
  """Moves a block from one indentation to another; lines with less indentation are left alone."""
  lines = text.split('\n')
  return '\n'.join(
    new + line[len(old) :] if line.startswith(old) and line.strip() else line for line in lines
  )


LINE_WIDTH = 100


def wrapped_call(head: str, arguments: list[str], indent: str, width: int = LINE_WIDTH) -> str:
  """Returns `head(arguments)`, broken after the parenthesis if the line would be too long."""
  line = f'{head}({", ".join(arguments)})'
  if len(indent) + len(line) <= width or not arguments:
    return line
  deeper = indent + '    '
  body = ', '.join(arguments)
  if len(deeper) + len(body) + 1 <= width and '\n' not in body:
    return f'{head}(\n{deeper}{body})'
  rows = ',\n'.join(
    textwrap.indent(argument, deeper) if '\n' not in argument else deeper + argument for argument in arguments
  )
  return f'{head}(\n{rows},\n{indent})'
