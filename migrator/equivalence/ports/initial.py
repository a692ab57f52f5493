"""Initial values: the same where they do not depend on the key, else the same distribution."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from migrator.equivalence import verdicts
from migrator.equivalence.leaf import is_float
from migrator.equivalence.verdicts import LeafResult, PartResult

NAME = 'initial values'
# Odds of a false alarm, for each array.
CHANCE = 1e-7
FEWEST = 32
Path = tuple[str, ...]


def compare(linen: Sequence[Mapping[Path, np.ndarray]], nnx: Mapping[Path, np.ndarray]) -> PartResult:
  """Compares the initial values of every float array.

  Args:
    linen: several samples, of different keys.
    nnx: one sample, by Linen path.

  Returns:
    'differs' with the arrays that cannot come from Linen's initializer; else 'close'.  Few numbers tell
    little: arrays of less than 32 random numbers are named in a note.
  """
  floats = [path for path, array in linen[0].items() if is_float(array) and array.size and path in nnx]
  results = {path: _difference([sample[path] for sample in linen], nnx[path]) for path in sorted(floats)}
  bad = [LeafResult('/'.join(path), 'value', text, math.inf, math.inf)
         for path, text in results.items() if text]
  small = [path for path in floats if linen[0][path].size < FEWEST and _is_random([s[path] for s in linen])]
  notes = (f'{len(small)} arrays have less than {FEWEST} random numbers, too few to tell much: '
           + ', '.join('/'.join(path) for path in small[:3]),) if small else ()
  if bad:
    reason = f'{bad[0].path}: {bad[0].detail}' + (f' (and {len(bad) - 1} more)' if len(bad) > 1 else '')
    return PartResult(NAME, verdicts.DIFFERS, reason, len(results), needed=None, worst=tuple(bad), notes=notes)
  if not results:
    return PartResult(NAME, verdicts.NOT_COMPARED, 'there is no float array')
  return PartResult(NAME, verdicts.CLOSE, f'{len(results)} arrays, same distribution', len(results), notes=notes)


def _is_random(samples: Sequence[np.ndarray]) -> bool:
  return any(sample.tobytes() != samples[0].tobytes() for sample in samples[1:])


def _difference(samples: Sequence[np.ndarray], found: np.ndarray) -> str:
  """Returns why `found` is no sample of the same initializer, or ''."""
  first, other = samples[0].astype(np.float64), found.astype(np.float64)
  if not _is_random(samples):
    return '' if np.allclose(first, other, rtol=1e-6, atol=0) else f'{_words(first)} in Linen, {_words(other)} in NNX'
  pool = np.concatenate([sample.astype(np.float64).ravel() for sample in samples])
  if len(np.unique(other)) == 1 < other.size:
    return f'{_words(pool)} in Linen, {_words(other)} in NNX'
  if _distance(pool, other.ravel()) > _limit(pool.size, other.size):
    return f'{_words(pool)} in Linen, {_words(other)} in NNX'
  return ''


def _words(array: np.ndarray) -> str:
  values = np.unique(array)
  if len(values) == 1:
    return f'all {values[0]:g}'
  return f'mean {array.mean():.3g}, deviation {array.std():.3g}, in [{array.min():.3g}, {array.max():.3g}]'


def _distance(one: np.ndarray, other: np.ndarray) -> float:
  """Largest distance of the two empirical distribution functions (Kolmogorov and Smirnov)."""
  values = np.sort(np.concatenate([one, other]))
  first = np.searchsorted(np.sort(one), values, side='right') / one.size
  second = np.searchsorted(np.sort(other), values, side='right') / other.size
  return float(np.abs(first - second).max())


def _limit(one: int, other: int) -> float:
  return math.sqrt(-math.log(CHANCE / 2) / 2 * (one + other) / (one * other))
