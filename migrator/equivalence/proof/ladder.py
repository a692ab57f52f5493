"""The upper rungs of the ladder: two programs in one table, from the same program down to swapped operands."""
from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping

from migrator.equivalence.proof.interpret import Interpreter, Marks
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.rules import exact_rules, order_rules
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.verdict import Verdict

# Loops of at most this many steps are written out where one side has none.
UNROLLED_STEPS = 64
RECURSION = 20_000
MarksOf = Callable[[Table], tuple[Marks | None, Marks | None]]


@dataclasses.dataclass(frozen=True)
class Reading:
  """Both programs in one table: numbers of the outputs by name."""

  table: Table
  linen: Mapping[str, int]
  nnx: Mapping[str, int]

  def equal(self) -> set[str]:
    """Returns the outputs that are the same expression on both sides."""
    return {name for name, number in self.linen.items() if self.nnx.get(name) == number}


def read(linen: Program, nnx: Program, table: Table, marks: MarksOf | None = None) -> Reading:
  """Reads both programs into a table.  marks: what stands for marked values, for either side."""
  of_linen, of_nnx = marks(table) if marks is not None else (None, None)
  found = Interpreter(linen, table, of_linen).run()
  return Reading(table, found, _without_unchanged(table, found, nnx, Interpreter(nnx, table, of_nnx).run()))


def _without_unchanged(table: Table, linen: Mapping[str, int], program: Program,
                       found: Mapping[str, int]) -> dict[str, int]:
  """Parameters that a call leaves as they were are no output, though a transformation hands them back."""
  block = program.blocks[0]
  kinds = dict(zip(program.inputs, block.kinds[len(block.constants):]))

  def is_unchanged(name: str) -> bool:
    source = name.replace('state/', 'variables/', 1)
    return name not in linen and source in kinds and found[name] == table.input(source, kinds[source])

  return {name: number for name, number in found.items() if not is_unchanged(name)}


@dataclasses.dataclass(frozen=True)
class Climb:
  """verdicts: by output; one that is not in it is open.  reading: the exact one.  why: it stays open."""

  verdicts: dict[str, Verdict]
  reading: Reading
  why: str = ''


def climb(linen: Program, nnx: Program, marks: MarksOf | None = None) -> Climb:
  """Returns the best of the exact rungs for every output that both programs have."""
  with deep_recursion():
    return _climb(linen, nnx, marks)


@contextlib.contextmanager
def deep_recursion() -> Iterator[None]:
  """Rules go down into expressions, which are as deep as a model has operations in a row."""
  before = sys.getrecursionlimit()
  sys.setrecursionlimit(max(before, RECURSION))
  try:
    yield
  finally:
    sys.setrecursionlimit(before)


def _climb(linen: Program, nnx: Program, marks: MarksOf | None) -> Climb:
  exact = read(linen, nnx, Table(exact_rules()), marks)
  verdicts = dict.fromkeys(exact.equal(), Verdict.SAME_PROGRAM)
  missing = (exact.linen.keys() & exact.nnx.keys()) - verdicts.keys()
  steps = UNROLLED_STEPS if missing and _loops(linen, nnx) else 0
  if missing and steps:
    equal = read(linen, nnx, Table(exact_rules(), steps), marks).equal()
    verdicts |= dict.fromkeys(missing & equal, Verdict.SAME_UNROLLED)
    missing -= equal
  if missing:
    equal = read(linen, nnx, Table(order_rules(), steps), marks).equal()
    verdicts |= dict.fromkeys(missing & equal, Verdict.SAME_UP_TO_ORDER)
  return Climb(verdicts, exact)


def _loops(*programs: Program) -> bool:
  return any(item.op == 'scan' and isinstance(dict(item.params)['length'], int) and
             dict(item.params)['length'] <= UNROLLED_STEPS
             for program in programs for item in program.equations())
