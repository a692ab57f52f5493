"""Initial values: is every variable the same function of its own random key?

Linen names keys by module path, NNX hands them out in order.  So draws are
symbols at first; the values that they feed tell which draw of NNX is which draw
of Linen; read again with these names, equal values are the proof.
"""
from __future__ import annotations

import collections
from collections.abc import Mapping

from migrator.equivalence.proof.explain import difference
from migrator.equivalence.proof.interpret import Interpreter, Marks
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.rules import exact_rules
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.verdict import OutputVerdict, Verdict

INITIAL = 'initial'
SHARED = 'drawn with the key of another variable'
OTHER_DRAW = 'drawn in another shape or in a loop, so the values cannot be compared draw by draw'


def compare_initial(linen: Program, nnx: Program) -> list[OutputVerdict]:
  """Returns the verdict of the initial value of every variable."""
  table = Table(exact_rules())
  of_linen = Interpreter(linen, table, _symbols(table, 'linen', {})).run()
  first = Interpreter(nnx, table, _symbols(table, 'nnx', {})).run()
  reach = Reach(table)
  names = {name: (reach.of(of_linen[name], INITIAL), reach.of(first[name], INITIAL))
           for name in of_linen if name in first}
  renamed, shared = _matched(names)
  of_nnx = Interpreter(nnx, table, _symbols(table, 'nnx', renamed)).run()
  found = []
  for name in sorted({*of_linen, *of_nnx}):
    if name not in of_linen or name not in of_nnx:
      found.append(OutputVerdict(name, Verdict.DIFFERS, f'only {"NNX" if name in of_nnx else "Linen"} has it'))
    elif name in shared and not _is_part(reach, of_linen[name], of_nnx[name]):
      found.append(OutputVerdict(name, Verdict.DIFFERS, SHARED))
    else:
      found.append(_judged(reach, name, of_linen[name], of_nnx[name]))
  return found


def _judged(reach: Reach, name: str, linen: int, nnx: int) -> OutputVerdict:
  if linen == nnx:
    return OutputVerdict(name, Verdict.SAME_PROGRAM)
  words = difference(reach.table, linen, nnx)
  draws = [sorted(str(reach.table.nodes[k].shape) for k in reach.of(number, 'random_bits')) for number in (linen, nnx)]
  # Parts of one array that is drawn at once, and arrays drawn in a loop.
  hidden = _is_part(reach, linen, nnx) or reach.of(linen, 'loop_stack') or reach.of(nnx, 'loop_stack')
  if draws[0] and draws[1] and (hidden or draws[0] != draws[1]) or hidden:
    return OutputVerdict(name, Verdict.NOT_PROVED, f'{OTHER_DRAW}: {words}')
  return OutputVerdict(name, Verdict.DIFFERS, words)


def _is_part(reach: Reach, linen: int, nnx: int) -> bool:
  """Whether NNX draws an array of which this variable is a part."""
  return bool(reach.of(nnx, 'slice')) and not reach.of(linen, 'slice')


def _symbols(table: Table, side: str, renamed: Mapping[int, int]) -> Marks:
  """Draws as symbols of their mark; those known to be a draw of Linen as that one."""
  def marked(mark: str, number: int, steps: tuple[int, ...]) -> int:
    if mark.split('|')[0] != INITIAL:
      return number
    node = table.nodes[number]
    loops = tuple(table.intern('step', (level,), (), None, None, opened=level) for level in sorted(node.free))
    symbol = table.intern(INITIAL, (side, mark, steps), loops, node.shape, node.dtype)
    return renamed.get(symbol, symbol)
  return marked


def _matched(names: Mapping[str, tuple[list[int], list[int]]]) -> tuple[dict[int, int], set[str]]:
  """Returns (draw of NNX -> draw of Linen, variables whose key also feeds a variable that has its own in Linen)."""
  renamed: dict[int, int] = {}
  shared = set()
  for name, (linen, nnx) in names.items():
    if len(linen) != len(nnx):
      continue
    for theirs, own in zip(linen, nnx):
      if renamed.setdefault(own, theirs) != theirs:
        shared.add(name)
  twice = [draw for draw, count in collections.Counter(renamed.values()).items() if count > 1]
  return {own: theirs for own, theirs in renamed.items() if theirs not in twice}, shared


class Reach:
  """Expressions of a kind that an expression is made of, in the order they are met."""

  def __init__(self, table: Table):
    self.table = table

  def of(self, root: int, op: str) -> list[int]:
    seen: dict[int, None] = {}
    waiting = [root]
    while waiting:
      number = waiting.pop()
      if number not in seen:
        seen[number] = None
        waiting += reversed(self.table.nodes[number].args)
    return [number for number in seen if self.table.nodes[number].op == op]
