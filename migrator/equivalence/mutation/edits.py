"""Mistakes as edits of a source text: one function per kind of mistake, each yields every place it fits."""
from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterator

from migrator.equivalence.ports.flags import TRAINING
from rewrites.slips import BIAS, INITIALIZER, PADDINGS, slips

# What Flax calls things is in the records; these are names of the user's.
FLAGS = slips().flags | set(TRAINING)


@dataclasses.dataclass(frozen=True)
class Edit:
  """One mistake.  what: in words.  line: where.  start, end: the piece of text.  text: what stands there instead."""

  what: str
  line: int
  start: int
  end: int
  text: str

  def applied(self, source: str) -> str:
    """Returns the source with the mistake."""
    data = source.encode()
    return (data[:self.start] + self.text.encode() + data[self.end:]).decode()


class Source:
  """A source text and where its lines begin, in bytes."""

  def __init__(self, text: str):
    self.tree, self._data = ast.parse(text), text.encode()
    self._starts = [0]
    for line in self._data.splitlines(keepends=True):
      self._starts.append(self._starts[-1] + len(line))

  def span(self, node: ast.AST) -> tuple[int, int]:
    """Returns where a node begins and ends."""
    place = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
    start, end = (self._starts[line - 1] + column for line, column in place)
    return start, end

  def of(self, node: ast.AST) -> str:
    start, end = self.span(node)
    return self._data[start:end].decode()

  def replaced(self, node: ast.AST, text: str, what: str) -> Edit:
    return Edit(what, node.lineno, *self.span(node), text)  # type: ignore[attr-defined]


Kind = Callable[[Source, ast.AST], Iterator[Edit]]


def edits_of(text: str, classes: frozenset[str]) -> list[Edit]:
  """Returns every mistake that fits into the classes of these names."""
  source = Source(text)
  found: list[Edit] = []
  for owner in ast.walk(source.tree):
    if isinstance(owner, ast.ClassDef) and owner.name in classes:
      for node in ast.walk(owner):
        for kind in KINDS:
          found += kind(source, node)
  return sorted(set(found), key=lambda edit: (edit.line, edit.start, edit.what))


def _name(node: ast.AST) -> str:
  """The last part of the name that is called."""
  function = node.func if isinstance(node, ast.Call) else None
  return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ''


def activation(source: Source, node: ast.AST) -> Iterator[Edit]:
  """An activation is forgotten."""
  if isinstance(node, ast.Call) and _name(node) in slips().activations and node.args:
    yield source.replaced(node, f'({source.of(node.args[0])})', f'{_name(node)} dropped')


def layer(source: Source, node: ast.AST) -> Iterator[Edit]:
  """A layer is not called: `x = self.norm(x)` becomes `x = x`."""
  if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or not node.value.args:
    return
  called, first, target = node.value.func, node.value.args[0], node.targets[0]
  if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == 'self' \
      and isinstance(first, ast.Name) and isinstance(target, ast.Name) and first.id == target.id:
    yield source.replaced(node.value, first.id, f'self.{called.attr} not called')


def bias(source: Source, node: ast.AST) -> Iterator[Edit]:
  """A layer loses its bias."""
  if isinstance(node, ast.Call) and _name(node) in slips().with_bias and node.keywords \
      and not any(word.arg == BIAS for word in node.keywords):
    last = node.keywords[0]
    yield source.replaced(last, f'{BIAS}=False, {source.of(last)}', f'bias of {_name(node)} dropped')


def number(source: Source, node: ast.AST) -> Iterator[Edit]:
  """Another epsilon, momentum, rate."""
  if isinstance(node, ast.keyword) and node.arg in slips().numbers and isinstance(node.value, ast.Constant) \
      and isinstance(node.value.value, float):
    changed = node.value.value * slips().numbers[str(node.arg)]
    yield source.replaced(node.value, repr(changed), f'{node.arg} {changed:g} instead of {node.value.value:g}')


def default(source: Source, node: ast.AST) -> Iterator[Edit]:
  """A layer that is not told a number is told a wrong one, such as the epsilon of another library."""
  if not isinstance(node, ast.Call) or not node.keywords:
    return
  given = {word.arg for word in node.keywords}
  for name, value in slips().defaults.get(_name(node), {}).items():
    if name not in given:
      first = node.keywords[0]
      yield source.replaced(first, f'{name}={value:g}, {source.of(first)}', f'{name} {value:g} in {_name(node)}')


def axis(source: Source, node: ast.AST) -> Iterator[Edit]:
  """Another axis."""
  if isinstance(node, ast.keyword) and node.arg == 'axis':
    value = node.value
    first = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
    text = source.of(first)
    if text.lstrip('-').isdecimal():
      other = {'-1': '-2', '0': '1', '1': '2', '2': '1'}.get(text)
      if other and other not in (source.of(item) for item in getattr(value, 'elts', [])):
        yield source.replaced(first, other, f'axis {other} instead of {text}')


def padding(source: Source, node: ast.AST) -> Iterator[Edit]:
  """Another padding."""
  if isinstance(node, ast.keyword) and node.arg == 'padding' and isinstance(node.value, ast.Constant) \
      and node.value.value in PADDINGS:
    text = PADDINGS[node.value.value]
    yield source.replaced(node.value, text, f'padding {text} instead of {source.of(node.value)}')


def flag(source: Source, node: ast.AST) -> Iterator[Edit]:
  """A flag of the call is inverted."""
  if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Subscript):
    for word in node.keywords:
      if word.arg in FLAGS and not isinstance(word.value, ast.Constant):
        yield source.replaced(word.value, f'(not ({source.of(word.value)}))', f'{word.arg} inverted')


def initializer(source: Source, node: ast.AST) -> Iterator[Edit]:
  """Another initializer."""
  if isinstance(node, ast.keyword) and (node.arg or '').endswith('_init') and isinstance(node.value, ast.Call | ast.Attribute):
    yield source.replaced(node.value, INITIALIZER, f'{node.arg} replaced')


def operands(source: Source, node: ast.AST) -> Iterator[Edit]:
  """The operands of a difference, a quotient or a matrix product are swapped."""
  signs = {ast.Sub: '-', ast.Div: '/', ast.MatMult: '@'}
  if isinstance(node, ast.BinOp) and type(node.op) in signs:
    sign = signs[type(node.op)]
    yield source.replaced(node, f'(({source.of(node.right)}) {sign} ({source.of(node.left)}))', f'operands of {sign} swapped')


def residual(source: Source, node: ast.AST) -> Iterator[Edit]:
  """A residual connection is forgotten: `x + f(x)` becomes `f(x)`."""
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.left, ast.Name) \
      and isinstance(node.right, ast.Call):
    yield source.replaced(node, f'({source.of(node.right)})', f'{node.left.id} not added')


KINDS: tuple[Kind, ...] = (activation, layer, bias, number, default, axis, padding, flag, initializer, operands, residual)
