"""Random keys in a proof: Linen's k-th draw in a module and NNX's k-th draw in its counterpart are one symbol.

A symbol stands for any key, so what is proved holds for all keys.  It depends
on the step of the loops that the key it stands for depends on: a key that is
the same in every step is not one that changes.  Whether the keys of the NNX
model are different keys is the audit's question, not the proof's.
"""
from __future__ import annotations

import collections
from collections.abc import Callable, Mapping

from migrator.equivalence.proof.interpret import Marks
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.table import Table

DRAW = 'draw'


def draw_marks(table: Table, program: Program, linen_path: Callable[[str], str]) -> Marks:
  """Returns what stands for the draws of one program.

  linen_path: the path of the Linen module of a place of this side.
  """
  ranks = live_ranks(program)
  # Where loops are written out: the n-th different key that a draw has had.
  different: dict[tuple[str, str, int], dict[int, int]] = collections.defaultdict(dict)

  def marked(mark: str, number: int, steps: tuple[int, ...]) -> int:
    kind, *words = mark.split('|')
    if kind != DRAW:
      return number
    place, stream, count = words
    node = table.nodes[number]
    if not stream:
      return table.intern(DRAW, 'the same key', (), node.shape, node.dtype)
    rank = ranks[place, stream].index(int(count))
    known = different[place, stream, rank]
    turn = known.setdefault(number, len(known)) if steps else None
    loops = tuple(table.intern('step', (level,), (), None, None, opened=level) for level in sorted(node.free))
    return table.intern(DRAW, (linen_path(place), stream, rank, turn), loops, node.shape, node.dtype)

  return marked


def draw_names(program: Program, linen_path: Callable[[str], str]) -> dict[str, str]:
  """Returns the common name of every mark of a draw; '' where every draw is the same key."""
  ranks, names = live_ranks(program), {}
  for mark in marks_of(program, DRAW):
    _, place, stream, count = mark.split('|')
    rank = ranks[place, stream].index(int(count))
    names[mark] = f'{linen_path(place)}|{stream}|{rank}' if stream else ''
  return names


def live_ranks(program: Program) -> Mapping[tuple[str, str], list[int]]:
  """Returns the numbers of the draws that are used, in order; bodies traced twice leave unused ones."""
  found: dict[tuple[str, str], set[int]] = collections.defaultdict(set)
  for mark in marks_of(program, DRAW):
    _, place, stream, count = mark.split('|')
    found[place, stream].add(int(count))
  return {place: sorted(numbers) for place, numbers in found.items()}


def marks_of(program: Program, kind: str) -> list[str]:
  """Returns the marks of a kind, in the order of the program's blocks."""
  names = [dict(item.params)['name'] for item in program.equations() if item.op == 'name']
  return [name for name in names if name.split('|')[0] == kind]
