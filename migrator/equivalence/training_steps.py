"""Some training steps side by side, measured against how far rounding alone carries the Linen model.

Optimizers that normalise (adamw) turn the rounding of a gradient that is zero into whole steps, and steps
amplify what they are given.  So where the two sides are not close, Linen is trained again from parameters
moved by one unit in the last place; a difference of that size tells nothing, a larger one does.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from migrator.equivalence import verdicts
from migrator.equivalence.compare import compare_trees
from migrator.equivalence.proof.verdict import ModeProof, Verdict
from migrator.equivalence.protocol import Message
from migrator.equivalence.rounding import Tree, allowance, is_open
from migrator.equivalence.verdicts import PartResult

STEPS = 20
FLOOR = 0.1
PROVED = "a step is proved to be the same real function; over the steps its rounding grows more than Linen's own"


def asked(proofs: Sequence[ModeProof]) -> tuple[int, bool]:
  """Returns how many steps are run, and whether one is proved to be the same real function.

  A step that is proved to be the same program is any number of equal steps, so none is run.
  """
  step = next((proof.verdict for proof in proofs if proof.mode == 'step'), Verdict.NOT_PROVED)
  return 0 if step.is_exact else STEPS, step.is_equal


def request(mode: str, count: int, moved: Sequence[str] = ()) -> Message:
  """Returns the question for either side; only Linen reads `moved`."""
  return Message({'do': 'steps', 'mode': mode, 'keys': 'constant', 'draws': [], 'count': count, 'moved': list(moved)})


def compared(name: str, linen: Tree, nnx: Tree, tolerance: float, notes: Sequence[str],
             moved: Sequence[Tree] = (), is_proved: bool = False) -> PartResult:
  """Compares losses and parameters of both sides.

  Args:
    moved: Linen's runs from moved parameters.
    is_proved: one step is proved to be the same real function; then a difference beyond Linen's own is rounding
      too, and the numbers confirm nothing.
  """
  if not moved:
    return compare_trees(name, linen, nnx, tolerance, floor=FLOOR, notes=notes)
  allowed, words = allowance(linen, moved)
  part = compare_trees(name, linen, nnx, tolerance, floor=FLOOR, notes=(*notes, *words), allowed=allowed)
  if not (is_proved and is_open(part)):
    return part
  return dataclasses.replace(part, verdict=verdicts.NOT_COMPARED, reason=f'{PROVED}: {part.reason}')
