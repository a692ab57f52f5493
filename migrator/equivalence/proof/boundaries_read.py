"""The borders of modules in a program, named the same on both sides."""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable

from migrator.equivalence.proof.program import Program

CALL, BACK = 'call', 'back'


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Border:
  """One array at the border of a module.

  path: of the Linen module.  kind: 'call' or 'back' (the gradient).  way: 'in' or 'out'.
  leaf: which array.  rank: which of the calls that are used.
  """

  path: str
  kind: str
  method: str
  way: str
  leaf: int
  rank: int

  def call(self) -> Border:
    """Returns the border of the whole call, whichever array."""
    return dataclasses.replace(self, leaf=-1)

  def text(self) -> str:
    """Returns it as one text."""
    return '|'.join(map(str, dataclasses.astuple(self)))


def borders_of(program: Program, linen_path: Callable[[str], str]) -> dict[str, Border]:
  """Returns the border of every mark, in the order of the program."""
  marks = dict.fromkeys(dict(item.params)['name'] for item in program.equations() if item.op == 'name')
  parts = {mark: mark.split('|') for mark in marks if mark.split('|')[0] in (CALL, BACK)}
  numbers: dict[tuple[str, ...], set[int]] = collections.defaultdict(set)
  for words in parts.values():
    numbers[tuple(words[:3])].add(int(words[5]))
  ranks = {place: sorted(found) for place, found in numbers.items()}
  return {mark: Border(linen_path(path), kind, method, way, int(leaf), ranks[kind, path, method].index(int(number)))
          for mark, (kind, path, method, way, leaf, number) in parts.items()}
