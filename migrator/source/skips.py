"""`# linen2nnx: skip` comments: what of a file the tool has to leave alone."""
from __future__ import annotations

import ast
import dataclasses
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

_COMMENT = re.compile(r'#.*?\blinen2nnx:[ \t]*skip(?P<file>-file)?(?![\w-])')
_LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENCODING)


@dataclasses.dataclass(frozen=True)
class Skips:
  """The marked places of one file.

  file: line of the comment that takes the whole file, or None.
  lines: marked lines -> line of the comment: its own, or the line of code below a comment that stands alone.
  """

  file: int | None = None
  lines: dict[int, int] = dataclasses.field(default_factory=dict)

  def __bool__(self) -> bool:
    return self.file is not None or bool(self.lines)

  def comment_in(self, node: ast.AST) -> int | None:
    """Returns the line of the first comment that marks a line of a statement, or the whole file."""
    if self.file is not None:
      return self.file
    first, last = lines_of(node)
    return next((self.lines[line] for line in sorted(self.lines) if first <= line <= last), None)

  def comment_over(self, around: Iterable[ast.AST]) -> int | None:
    """Returns the line of the comment that takes a place, or None.

    around: the nodes around the place, innermost first.  A comment takes the innermost statement it stands in; at
    the first line of a definition or block it takes all of it.
    """
    if self.file is not None:
      return self.file
    for node in around:
      if not isinstance(node, ast.stmt):
        continue
      first, last = head_of(node) if isinstance(getattr(node, 'body', None), list) else lines_of(node)
      found = next((self.lines[line] for line in sorted(self.lines) if first <= line <= last), None)
      if found is not None:
        return found
    return None


def lines_of(node: ast.AST) -> tuple[int, int]:
  """Returns the first line (of the decorators, if any) and the last line of a statement."""
  decorators = getattr(node, 'decorator_list', None) or [node]
  return decorators[0].lineno, node.end_lineno  # type: ignore[attr-defined]


def head_of(node: ast.AST) -> tuple[int, int]:
  """Returns the lines of a compound statement before its body: decorators, name, arguments."""
  first, last = lines_of(node)
  body = node.body[0].lineno  # type: ignore[attr-defined]
  return first, max(first, min(last, body - 1))


def read_skips(text: str, tree: ast.Module) -> Skips:
  """Reads the comments of a file.

  A comment at the end of a line marks that line; one that stands alone marks the next line of code, and the whole
  file where it stands above all code or says `skip-file`.
  """
  if 'linen2nnx:' not in text or not _COMMENT.search(text):
    return Skips()
  first_code = min((lines_of(node)[0] for node in tree.body), default=0)
  file: int | None = None
  lines: dict[int, int] = {}
  waiting: list[int] = []
  code: set[int] = set()
  for token in _tokens(text):
    line = token.start[0]
    if token.type == tokenize.COMMENT:
      found = _COMMENT.match(token.string)
      if found is None:
        continue
      alone = line not in code
      if found['file'] or alone and line < first_code:
        file = line if file is None else file
      elif alone:
        waiting.append(line)
      else:
        lines.setdefault(line, line)
    elif token.type not in _LAYOUT:
      code.update(range(line, token.end[0] + 1))
      for comment in waiting:
        lines.setdefault(line, comment)
      waiting = []
  return Skips(file, lines)


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
  """Yields the tokens of a text that parses; the tokenizer is stricter than the parser at the very end."""
  try:
    yield from tokenize.generate_tokens(io.StringIO(text.removeprefix('\ufeff')).readline)
  except (tokenize.TokenError, IndentationError):
    return
