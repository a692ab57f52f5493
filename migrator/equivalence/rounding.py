"""How far rounding alone carries the Linen model: a difference of that size tells nothing, a larger one does."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from migrator.equivalence import verdicts
from migrator.equivalence.protocol import Path
from migrator.equivalence.verdicts import PartResult

Tree = Mapping[Path, np.ndarray]
# Words that seed Linen's runs from moved numbers; few are enough, because every one moves all of them.
MOVED = ('moved 1', 'moved 2', 'moved 3')
# Two runs that rounding carried off in opposite directions are twice as far apart as either from the middle.
FACTOR = 2.0


def allowance(linen: Tree, moved: Sequence[Tree]) -> tuple[dict[Path, float], list[str]]:
  """Returns the differences that tell nothing, for every array, and what a report says about them.

  Args:
    linen: what Linen gives.  moved: the same from numbers moved by one unit in the last place.
  """
  spread = own_spread(linen, moved)
  return {path: FACTOR * distance for path, distance in spread.items()}, _words(spread)


def own_spread(linen: Tree, moved: Sequence[Tree]) -> dict[Path, float]:
  """Returns the largest distance of any moved run from the run as it is, for every array."""
  return {path: max((_distance(array, run[path]) for run in moved), default=0.0) for path, array in linen.items()}


def _distance(one: np.ndarray, other: np.ndarray) -> float:
  wide = np.complex128 if one.dtype.kind == 'c' else np.float64
  first, second = one.astype(wide), other.astype(wide)
  # Runs that leave the numbers at different steps can be arbitrarily far apart.
  apart = np.isfinite(first) != np.isfinite(second)
  both = np.isfinite(first) & np.isfinite(second)
  if apart.any():
    return np.inf
  return float(np.abs(first[both] - second[both]).max()) if both.any() else 0.0


def _words(spread: Mapping[Path, float]) -> list[str]:
  path, distance = max(spread.items(), key=lambda item: item[1])
  return [f'Linen alone, from numbers moved by one unit in the last place, is up to {distance:.3g} apart '
          f'({"/".join(path) or "the output"}); up to {FACTOR:g} times that tells nothing']


def is_open(part: PartResult) -> bool:
  """Whether rounding alone might explain the part: all that differs are numbers."""
  return part.verdict == verdicts.DIFFERS and all(leaf.kind in ('value', 'nan') for leaf in part.worst)
