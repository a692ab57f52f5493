"""The text of a file while calls in it are written out, and which line of the file on disk each line is from."""

from __future__ import annotations

import ast

from migrator.codemod.text import SourceText


class Draft:
  """A text that changes by whole lines.

  first: the text on disk; text: as it is now; origins: for each line of it, the 1-based line of the original it stands for.
  """

  def __init__(self, text: str) -> None:
    self.first = text
    self.text = text
    self.origins = list(range(1, len(text.splitlines()) + 2))
    self._parsed: tuple[ast.Module, SourceText] | None = None

  @property
  def tree(self) -> ast.Module:
    return self._current()[0]

  @property
  def source(self) -> SourceText:
    return self._current()[1]

  def _current(self) -> tuple[ast.Module, SourceText]:
    if self._parsed is None:
      source = SourceText(self.text)
      self._parsed = ast.parse(source.data), source
    return self._parsed

  def replace(self, start: int, end: int, text: str) -> None:
    """Replaces the bytes of whole lines; the new lines stand for the first of the old ones."""
    data = self.source.data
    first, last = data.count(b'\n', 0, start), data.count(b'\n', 0, end)
    new = data[:start].decode() + text + data[end:].decode()
    origin = self.origins[min(first, len(self.origins) - 1)]
    self.origins[first:last] = [origin] * text.count('\n')
    self.text = new.replace('\n', '\r\n') if self.source.windows else new
    self._parsed = None

  def original(self, line: int) -> int:
    """Returns the line on disk that a line of the text stands for."""
    return self.origins[line - 1] if 0 < line <= len(self.origins) else line

  def copy(self) -> Draft:
    other = Draft(self.text)
    other.first, other.origins = self.first, list(self.origins)
    return other

  def remove(self, statement: ast.stmt) -> None:
    """Removes a statement with the comments above it and the empty lines behind it."""
    source = self.source
    start, end = source.leading_comments(statement, 0), source.line_end(source.end(statement))
    while end < len(source.data) and not source.slice(end, source.line_end(end)).strip():
      end = source.line_end(end)
    self.replace(start, end, '')
