"""The part of a file that editing its imports needs: every other statement stands in as one word.

Reading a whole file into a concrete tree to change a few lines of it costs more than all other writing.
"""
from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Iterator

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)


class ImportRegion:
  """A file with stand-ins for the statements that hold no import.

  text: the shortened file; comments and empty lines between statements are all in it.
  """

  def __init__(self, source: str, tree: ast.Module) -> None:
    self._data = source.encode()
    self._starts = [0]
    for line in self._data.splitlines(keepends=True):
      self._starts.append(self._starts[-1] + len(line))
    self._name = '_statement'
    while self._name in source:
      self._name += '_'
    self._hidden: list[str] = []
    self.text = self._shortened(tree)

  def whole(self, text: str) -> str:
    """Returns an edited `text` with the statements back in their places."""
    stand_in = rf'(?:class )?\b{self._name}(\d+)x\b(?:: pass)?'
    return re.sub(stand_in, lambda found: self._hidden[int(found[1])], text)

  def _shortened(self, tree: ast.Module) -> str:
    parts: list[bytes] = []
    position = 0
    for statement in _without_imports([item for item in tree.body if not _is_text(item)]):
      start, end = self._extent(statement)
      if start < position or not self._alone(start, end):
        continue
      word = f'{self._name}{len(self._hidden)}x'
      self._hidden.append(self._data[start:end].decode())
      parts += [self._data[position:start],
                (f'class {word}: pass' if isinstance(statement, _DEFINITIONS) else word).encode()]
      position = end
    return b''.join([*parts, self._data[position:]]).decode()

  def _extent(self, statement: ast.stmt) -> tuple[int, int]:
    """The bytes of a statement, with its decorators and with the indented comments that end its block."""
    decorators = getattr(statement, 'decorator_list', None)
    start = self._offset(decorators[0]) if decorators else self._offset(statement)
    if decorators:
      start = self._data.rindex(b'@', 0, start)
    end = self._starts[(statement.end_lineno or 0) - 1] + (statement.end_col_offset or 0)
    if not hasattr(statement, 'body'):
      return start, end
    margin = start - self._starts[self._line(start)]
    for line in range(statement.end_lineno or 0, len(self._starts) - 1):
      text = self._data[self._starts[line]:self._starts[line + 1]]
      bare = text.lstrip()
      if bare and not bare.startswith(b'#'):
        break
      if bare and len(text) - len(bare) > margin:
        end = self._starts[line] + len(text.rstrip())
    return start, end

  def _offset(self, node: ast.stmt | ast.expr) -> int:
    return self._starts[node.lineno - 1] + node.col_offset

  def _line(self, offset: int) -> int:
    return bisect.bisect_right(self._starts, offset) - 1

  def _alone(self, start: int, end: int) -> bool:
    """Whether nothing but a comment shares the lines."""
    before = self._data[self._starts[self._line(start)]:start]
    line = self._line(end)
    after = self._data[end:self._starts[line + 1] if line + 1 < len(self._starts) else len(self._data)].strip()
    return not before.strip() and (not after or after.startswith(b'#'))


def _without_imports(body: list[ast.stmt]) -> Iterator[ast.stmt]:
  """Yields the largest statements that hold no import, in text order."""
  for statement in body:
    if not _holds_import(statement):
      yield statement
      continue
    for part in ('body', 'handlers', 'cases', 'orelse', 'finalbody'):
      for inner in getattr(statement, part, ()):
        if isinstance(inner, ast.stmt):
          yield from _without_imports([inner])
        else:
          yield from _without_imports(inner.body)


def _is_text(statement: ast.stmt) -> bool:
  """Whether the statement may be, or become, the docstring of the file."""
  return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _holds_import(statement: ast.AST) -> bool:
  if isinstance(statement, _IMPORTS):
    return True
  return any(_holds_import(child) for part in ('body', 'handlers', 'cases', 'orelse', 'finalbody')
             for child in getattr(statement, part, ()) if isinstance(child, ast.AST))
