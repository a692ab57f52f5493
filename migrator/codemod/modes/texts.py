"""The written NNX classes as syntax trees, with the places of call arguments and parameters."""

from __future__ import annotations

import ast
import dataclasses
import io
import tokenize
from collections.abc import Mapping, Sequence
from typing import Any

from ..plan import ClassPlan
from ..text import Edits, SourceText

_OPEN, _CLOSE = '([{', ')]}'
_HOLDER = 'if True:\n'  # holds a class that is indented


@dataclasses.dataclass(eq=False)
class Text:
  """The text of an outermost class and its edits."""

  plan: ClassPlan
  source: SourceText
  edits: Edits
  held: bool

  def written(self) -> str:
    """Returns the text with all edits."""
    return self.edits.apply(len(_HOLDER) if self.held else 0, len(self.source.data))


@dataclasses.dataclass(eq=False)
class Written:
  """One native class as it was written: its node, and its methods by name."""

  plan: ClassPlan
  node: ast.ClassDef
  text: Text
  methods: dict[str, ast.FunctionDef]

  @property
  def name(self) -> str:
    return self.plan.name

  def line(self, node: ast.AST) -> str:
    """Returns one line of source text for a message."""
    return ' '.join(ast.unparse(node).split())[:80]


def read_texts(plans: Mapping[str, ClassPlan]) -> dict[str, Written]:
  """Returns the native classes by name; a nested class is part of the text of the one around it."""
  found: dict[str, Written] = {}
  for name, plan in plans.items():
    if not plan.native or _around(name, plans) is not None:
      continue
    held = plan.text[:1] in (' ', '\t')
    source = SourceText(_HOLDER + plan.text if held else plan.text)
    tree = ast.parse(source.data)
    body: Any = tree.body[0].body if held else tree.body  # type: ignore[attr-defined]
    node = next(item for item in body if isinstance(item, ast.ClassDef))
    _collect(name, node, Text(plan, source, Edits(source), held), plans, found)
  return found


def _around(name: str, plans: Mapping[str, ClassPlan]) -> str | None:
  outer = name.rpartition('.')[0]
  return outer if ':' in outer and outer in plans and plans[outer].native else None


def _collect(
  name: str, node: ast.ClassDef, text: Text, plans: Mapping[str, ClassPlan], found: dict[str, Written]
) -> None:
  methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
  found[name] = Written(plans[name], node, text, methods)
  for item in node.body:
    inner = f'{name}.{getattr(item, "name", "")}'
    if isinstance(item, ast.ClassDef) and inner in plans and plans[inner].native:
      _collect(inner, item, text, plans, found)


def parameters(method: ast.FunctionDef) -> list[tuple[ast.arg, ast.expr | None]]:
  """Returns the parameters behind `self` in order, with their defaults; stars are left out."""
  arguments = method.args
  positional = [*arguments.posonlyargs, *arguments.args]
  missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
  rows = list(zip(positional, [*missing, *arguments.defaults], strict=True))[1:]
  return rows + list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))


def positions(method: ast.FunctionDef) -> list[str]:
  """Returns the names of the parameters behind `self` that may be given by position."""
  return [item.arg for item in (*method.args.posonlyargs, *method.args.args)][1:]


def given(call: ast.Call, method: ast.FunctionDef) -> dict[str, ast.expr] | None:
  """Returns the arguments of a call by parameter; None when stars hide them."""
  if any(isinstance(item, ast.Starred) for item in call.args) or any(item.arg is None for item in call.keywords):
    return None
  found = dict(zip(positions(method), call.args))
  found.update({item.arg: item.value for item in call.keywords if item.arg is not None})
  return found


def without(edits: Edits, start: int, end: int, nodes: Sequence[ast.AST]) -> list[tuple[int, int]]:
  """Removes items of the list in parentheses that opens at or behind `start`; commas go with them, comments stay.

  nodes: what begins in the items that go.  A star that marks nothing any more goes too.

  Returns:
    The extents of the items that stay.
  """
  source = edits.source
  opening, extents, closing = _items(source, start, end)
  inside = [source.own_start(node) for node in nodes]
  gone = {place for place, (first, last) in enumerate(extents) if any(first <= offset < last for offset in inside)}
  star = next((place for place, extent in enumerate(extents) if source.slice(*extent) == '*'), None)
  if star is not None and all(
    place in gone or source.slice(*extents[place]).startswith('**') for place in range(star + 1, len(extents))
  ):
    gone.add(star)
  kept = [place for place in range(len(extents)) if place not in gone]
  for place in sorted(gone):
    first, last = extents[place]
    if place and '#' in source.slice(extents[place - 1][1], first):
      first, last = _own_line(source, first, last)
    elif any(item < place for item in kept):
      first = extents[place - 1][1]
    elif kept:
      last = extents[place + 1][0]
    elif place == 0:
      first, last = opening + 1, closing
      if '#' in source.slice(first, last):
        first, last = extents[0][0], extents[-1][1]
    edits.replace_range(first, last, '')
  return [extents[place] for place in kept]


def _own_line(source: SourceText, first: int, last: int) -> tuple[int, int]:
  """Returns the range of an item behind a comment: with its comma, and with its line if nothing else is in it."""
  end = source.line_end(last)
  rest = source.slice(last, end)
  last += len(rest) - len(rest.lstrip().removeprefix(',').lstrip(' \t'))
  if source.slice(last, end).strip():
    return first, last
  start = source.line_start(first)
  return (start, end) if not source.slice(start, first).strip() else (first, last)


def _items(source: SourceText, start: int, end: int) -> tuple[int, list[tuple[int, int]], int]:
  """Returns the offset of the opening parenthesis, the extents of the items inside, and that of the closing one."""
  text = source.slice(start, end)
  lines = text.split('\n')
  offsets = [0]
  for line in lines:
    offsets.append(offsets[-1] + len(line.encode()) + 1)

  def place(row: int, column: int) -> int:
    return start + offsets[row - 1] + len(lines[row - 1][:column].encode())

  depth, opening, closing = 0, start, end
  items: list[tuple[int, int]] = []
  current: list[int] = []
  for token in _tokens(text):
    if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
      continue
    first, last = place(*token.start), place(*token.end)
    closes = token.type == tokenize.OP and token.string in _CLOSE
    depth -= closes
    if closes and depth == 0:
      closing = first
      break
    if depth == 1 and token.string == ',' and token.type == tokenize.OP:
      items.append((current[0], current[1]))
      current = []
    elif depth >= 1:
      current = [current[0] if current else first, last]
    elif token.string == '(':
      opening = first
    depth += token.type == tokenize.OP and token.string in _OPEN
  if current:
    items.append((current[0], current[1]))
  return opening, items, closing


def _tokens(text: str) -> Any:
  try:
    yield from tokenize.generate_tokens(io.StringIO(text).readline)
  except (tokenize.TokenError, IndentationError):
    return  # the text ends inside of a statement
