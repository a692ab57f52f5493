"""Keys of initial values as the constructor is written: no two variables are drawn with the same one, unless in Linen."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from migrator.equivalence.proof.initial import INITIAL, OTHER_DRAW, SHARED, Reach
from migrator.equivalence.proof.interpret import Interpreter
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.rules import exact_rules
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.verdict import OutputVerdict, Verdict

KINDS = (INITIAL, 'audited')
KEY = 'initial_key'


def with_shared_keys(outputs: Sequence[OutputVerdict], linen: Program, nnx: Program) -> list[OutputVerdict]:
  """Returns the verdicts, with those of variables that share a key in NNX and not in Linen.

  nnx: traced with the keys its streams really hand out.
  """
  theirs, own = _sharing(linen), _sharing(nnx)
  found = []
  for item in outputs:
    others = sorted(own.get(item.name, set()) - theirs.get(item.name, set()))
    if others and item.verdict is not Verdict.DIFFERS and not item.detail.startswith(OTHER_DRAW):
      names = ', '.join(name.removeprefix(f'{INITIAL}/') for name in others[:3])
      item = dataclasses.replace(item, verdict=Verdict.DIFFERS, detail=f'{SHARED}: {names}')
    found.append(item)
  return found


def _sharing(program: Program) -> dict[str, set[str]]:
  """Returns, for every variable, the others that are drawn with the same key and are not parts of the same draw."""
  table = Table(exact_rules())

  def marked(mark: str, number: int, steps: tuple[int, ...]) -> int:
    if mark.split('|')[0] not in KINDS:
      return number
    node = table.nodes[number]
    return table.intern(KEY, (number,), (number,), node.shape, node.dtype)

  values = Interpreter(program, table, marked).run()
  reach = Reach(table)
  keys = {name: _nearest(table, number) for name, number in values.items()}
  # Parts of one array that is drawn at once share its key and no numbers.
  parts = {name for name, number in values.items() if reach.of(number, 'slice')}
  return {name: {other for other in keys if other != name and keys[other] & used and not {name, other} <= parts}
          for name, used in keys.items()}


def _nearest(table: Table, root: int) -> set[int]:
  """Returns the keys that a value is drawn with; a key that another one is split from draws nothing itself."""
  found, seen, waiting = set(), {root}, [root]
  while waiting:
    number = waiting.pop()
    if table.nodes[number].op == KEY:
      found.add(number)
      continue
    fresh = set(table.nodes[number].args) - seen
    seen |= fresh
    waiting += fresh
  return found
