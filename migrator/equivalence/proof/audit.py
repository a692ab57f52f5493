"""The keys of the NNX model as it is written: each draw has its own, and it changes in loops as Linen's does."""
from __future__ import annotations

import dataclasses

from migrator.equivalence.proof.interpret import Interpreter
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.rules import exact_rules
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.verdict import Verdict


@dataclasses.dataclass(frozen=True)
class Draws:
  """reused: draws whose key another draw has too.  places: (shape, whether it changes with a loop's step)."""

  count: int
  reused: int
  places: list[tuple[str, bool]]


def draws_of(program: Program, kind: str) -> Draws:
  """Returns the draws of a program, marked with `kind`."""
  table, found = Table(exact_rules()), dict[tuple[str, tuple[int, ...]], int]()

  def marked(mark: str, number: int, steps: tuple[int, ...]) -> int:
    if mark.split('|')[0] == kind:
      # A loop's body is read several times; the last reading is the one that counts.
      found[mark, steps] = number
    return number

  Interpreter(program, table, marked).run()
  nodes = [table.nodes[number] for number in found.values()]
  places = sorted((str(node.shape), bool(node.free)) for node in nodes)
  return Draws(len(found), len(found) - len(set(found.values())), places)


def audit(linen: Draws, nnx: Draws) -> tuple[Verdict, str]:
  """Returns the verdict on the keys of NNX, and why."""
  if nnx.reused > linen.reused:
    return Verdict.DIFFERS, f'{nnx.reused} draws in NNX use a key that another draw uses, {linen.reused} in Linen'
  steady = [sum(not changes for _, changes in draws.places) for draws in (linen, nnx)]
  if nnx.count == linen.count and steady[0] != steady[1]:
    return Verdict.DIFFERS, (f'{steady[1]} keys in NNX are the same in every step of a loop or outside of one, '
                             f'{steady[0]} in Linen')
  if nnx.places != linen.places:
    return Verdict.NOT_PROVED, f'NNX draws {nnx.count} keys and Linen {linen.count}, in other shapes or places'
  return Verdict.SAME_PROGRAM, ''
