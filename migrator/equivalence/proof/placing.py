"""Which modules of a pair differ: traced again with the borders of modules marked, each judged alone."""
from __future__ import annotations

import dataclasses

from migrator.equivalence.process import WorkerError
from migrator.equivalence.proof.ladder import deep_recursion
from migrator.equivalence.proof.locate import cut
from migrator.equivalence.proof.modules import LEAF, NO_GRADIENT, UNCALLED, differences, judged
from migrator.equivalence.proof.pairs import Pair, Programs
from migrator.equivalence.proof.points import judged_alone
from migrator.equivalence.proof.rules import exact_rules, order_rules
from migrator.equivalence.proof.verdict import ModeProof, ModuleVerdict, Verdict


class Locator:
  """Names modules; what was found for a pair is kept for its other modes."""

  def __init__(self, programs: Programs):
    self._programs = programs
    self._found: dict[tuple[str, str], tuple[ModuleVerdict, ...]] = {}

  def modules(self, pair: Pair, proof: ModeProof, plan: str) -> tuple[ModuleVerdict, ...]:
    """Returns the modules that explain the verdict of a mode.  plan: of shapes, to trace anew."""
    key = (pair.kind, pair.mode)
    if key not in self._found:
      self._found[key] = self._located(pair, plan)
    found = self._found[key]
    if proof.verdict.is_equal:
      # All outputs are the same function, so no module can compute another; what is only on one side does not count.
      found = tuple(dataclasses.replace(module, verdict=proof.verdict) if module.verdict is Verdict.DIFFERS
                    else module for module in found if module.cause not in UNCALLED and not module.cause.startswith(NO_GRADIENT))
    groups = {item.name.split('/')[0] for item in proof.lower}
    names = {'/'.join(item.name.split('/')[2:-1]) for item in proof.lower}
    return tuple(module for module in found
                 if module.place != LEAF or groups & {'state', 'gradient'} and module.linen in names)

  def _located(self, pair: Pair, plan: str) -> tuple[ModuleVerdict, ...]:
    try:
      marked = self._programs.pair(pair.kind, pair.mode, plan, pair.keys, calls=True)
    except WorkerError as error:
      if error.dead:
        raise
      return ()
    own_paths = self._programs.linen_paths
    with deep_recursion():
      read = cut(marked.linen, marked.nnx, self._programs.linen_path, exact_rules())
      placed = set(own_paths.values())
      found = differences(read, placed)
      swapped = cut(marked.linen, marked.nnx, self._programs.linen_path, order_rules())
      left = {item.key for item in differences(swapped, placed)}
    verdicts = {item.key: Verdict.SAME_UP_TO_ORDER for item in found if item.key and item.key not in left}
    verdicts |= judged_alone(self._programs, marked, {item.key for item in found if item.key in left and item.key})
    return judged(read, found, verdicts, {linen: own for own, linen in own_paths.items()})
