"""Some training steps side by side, measured against how far rounding alone carries the Linen model.

Optimizers that normalise (adamw) turn the rounding of a gradient that is zero into whole steps, and steps
amplify what they are given.  So where the two sides are not close, Linen is trained again from parameters
moved by one unit in the last place; a difference of that size tells nothing, a larger one does.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from migrator.equivalence import verdicts
from migrator.equivalence.compare import compare_trees
from migrator.equivalence.proof.verdict import ModeProof, Verdict
from migrator.equivalence.protocol import Message, Path
from migrator.equivalence.verdicts import PartResult

STEPS = 20
Tree = Mapping[Path, np.ndarray]
# Words that seed the runs; few are enough, because every one moves all parameters.
MOVED = ('moved 1', 'moved 2', 'moved 3')
# Two runs that rounding carried off in opposite directions are twice as far apart as either from the middle.
FACTOR = 2.0
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


def own_spread(linen: Tree, moved: Sequence[Tree]) -> dict[Path, float]:
  """Returns the largest distance of any moved run from the run as it is, for every array."""
  return {path: max((_distance(array, run[path]) for run in moved), default=0.0) for path, array in linen.items()}


def _distance(one: np.ndarray, other: np.ndarray) -> float:
  first, second = one.astype(np.float64), other.astype(np.float64)
  # Runs that leave the numbers at different steps can be arbitrarily far apart.
  apart = np.isfinite(first) != np.isfinite(second)
  both = np.isfinite(first) & np.isfinite(second)
  if apart.any():
    return np.inf
  return float(np.abs(first[both] - second[both]).max()) if both.any() else 0.0


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
  spread = own_spread(linen, moved)
  allowed = {path: FACTOR * distance for path, distance in spread.items()}
  part = compare_trees(name, linen, nnx, tolerance, floor=FLOOR, notes=(*notes, *_words(spread)), allowed=allowed)
  if not (is_proved and is_open(part)):
    return part
  return dataclasses.replace(part, verdict=verdicts.NOT_COMPARED, reason=f'{PROVED}: {part.reason}')


def _words(spread: Mapping[Path, float]) -> list[str]:
  path, distance = max(spread.items(), key=lambda item: item[1])
  return [f'Linen alone, from parameters moved by one unit in the last place, ends up to {distance:.3g} apart '
          f'({"/".join(path)}); up to {FACTOR:g} times that tells nothing']


def is_open(part: PartResult) -> bool:
  """Whether rounding alone might explain the part: all that differs are numbers."""
  return part.verdict == verdicts.DIFFERS and all(leaf.kind in ('value', 'nan') for leaf in part.worst)
