"""Which modules differ: every border of a module is cut to a symbol both sides share, so each is judged alone.

What goes into a module and what comes out of it are compared with the values
that the other side has at the same border; behind the border both go on with
the same symbol.  So one fault cannot hide or cause another.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from migrator.equivalence.proof.boundaries_read import Border, borders_of
from migrator.equivalence.proof.draws import draw_marks
from migrator.equivalence.proof.interpret import Interpreter, Marks
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.table import Rule, Table


@dataclasses.dataclass
class Cut:
  """Both programs with the borders cut.

  linen, nnx: what each side has at a border.  outputs: of the programs, by name, on either side.
  linen_lines, nnx_lines: source lines of expressions.  missing: borders, and the side that lacks them.
  mark_lines: source lines of borders on either side.
  """

  table: Table
  linen: dict[Border, int]
  nnx: dict[Border, int]
  outputs: dict[str, tuple[int | None, int | None]]
  linen_lines: Mapping[int, str]
  nnx_lines: Mapping[int, str]
  missing: dict[Border, str]
  mark_lines: dict[Border, tuple[str, str]]

  def differing(self) -> list[tuple[Border, int, int]]:
    """Returns the borders where the two sides have other values."""
    return [(border, self.linen[border], self.nnx[border]) for border in self.linen
            if border in self.nnx and self.linen[border] != self.nnx[border]]


def cut(linen: Program, nnx: Program, linen_path: Callable[[str], str], rules: dict[str, tuple[Rule, ...]]) -> Cut:
  """Reads both programs with all borders cut that both have."""
  table = Table(rules)
  of_linen, of_nnx = borders_of(linen, str), borders_of(nnx, linen_path)
  shared = set(of_linen.values()) & set(of_nnx.values())
  kinds: dict[Border, tuple[object, object]] = {}
  found: tuple[dict[Border, int], dict[Border, int]] = {}, {}
  readers = []
  for program, borders, held, path in ((linen, of_linen, found[0], str), (nnx, of_nnx, found[1], linen_path)):
    marks = _cutting(table, borders, shared, held, kinds, draw_marks(table, program, path))
    readers.append(Interpreter(program, table, marks))
  results = [reader.run() for reader in readers]
  outputs = {name: (results[0].get(name), results[1].get(name)) for name in {**results[0], **results[1]}}
  missing = {border: 'NNX' for border in of_linen.values() if border not in shared}
  missing |= {border: 'Linen' for border in of_nnx.values() if border not in shared}
  lines = _lines(linen, of_linen), _lines(nnx, of_nnx)
  mark_lines = {border: (lines[0].get(border, ''), lines[1].get(border, '')) for border in {**lines[0], **lines[1]}}
  return Cut(table, *found, outputs, readers[0].lines, readers[1].lines, missing, mark_lines)


def _lines(program: Program, borders: Mapping[str, Border]) -> dict[Border, str]:
  """Returns where the modules are called; a mark without a line has that of the call it is in."""
  found: dict[Border, str] = {}
  seen: set[int] = set()

  def visit(block: int, around: str) -> None:
    seen.add(block)
    for item in program.blocks[block].equations:
      line = item.line or around
      if item.op == 'name' and line and (name := dict(item.params)['name']) in borders:
        found.setdefault(borders[name], line)
      for inner in (number for _, numbers in item.blocks for number in numbers):
        if inner not in seen:
          visit(inner, line)

  visit(0, '')
  return found


def _cutting(table: Table, borders: Mapping[str, Border], shared: set[Border], held: dict[Border, int],
             kinds: dict[Border, tuple[object, object]], otherwise: Marks) -> Marks:
  # One array passed in twice is one symbol, on the side where it is.
  twice: dict[tuple[Border, int], int] = {}

  def marked(mark: str, number: int, steps: tuple[int, ...]) -> int:
    border = borders.get(mark)
    if border is None or not border.path:
      return otherwise(mark, number, steps)
    held[border] = number
    if border not in shared:
      return number
    node = table.nodes[number]
    shape, dtype = kinds.setdefault(border, (node.shape, node.dtype))
    loops = tuple(table.intern('step', (level,), (), None, None, opened=level) for level in sorted(node.free))
    symbol = table.intern('border', (border, steps), loops, shape, dtype)
    return twice.setdefault((border.call(), number), symbol)

  return marked
