"""Comparing two trees of arrays: structure, shapes, dtypes, then numbers.  NumPy only."""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from migrator.equivalence import verdicts
from migrator.equivalence.leaf import compare_leaf, is_float, scale_of
from migrator.equivalence.verdicts import LeafResult, PartResult

Path = tuple[str, ...]
Tree = Mapping[Path, np.ndarray]
WORST = 10


def compare_trees(name: str, linen: Tree, nnx: Tree, tolerance: float = 1e-5, *, floor: float = 0.0,
                  vacuous: Callable[[Path, np.ndarray], bool] | None = None, notes: Sequence[str] = (),
                  allowed: Mapping[Path, float] | None = None) -> PartResult:
  """Compares the arrays of one part.

  Args:
    name: of the part.
    linen, nnx: arrays by path; Linen is the reference.
    tolerance: largest error allowed, relative to the largest number of the reference array.
    floor: share of the largest number of the whole part below which an array's own scale does not
      count.  Gradients need it: some are sums that cancel to rounding noise.
    vacuous: tells a reference array that could not have shown an error; zeros and constants by default.
    notes: put on the result.
    allowed: absolute differences of arrays that tell nothing; only what exceeds them counts as an error.

  Returns:
    The verdict with the worst leaves.  A part in which every array is vacuous is 'not compared'.
  """
  if not linen and not nnx:
    return PartResult(name, verdicts.NOT_COMPARED, 'there is no array on either side', notes=tuple(notes))
  least = floor * max((scale_of(array) for array in linen.values() if is_float(array)), default=0.0)
  leaves = [_excess(_leaf(path, linen.get(path), nnx.get(path), least), (allowed or {}).get(path, 0.0))
            for path in sorted({*linen, *nnx})]
  bad = [leaf for leaf in leaves if leaf.kind != 'equal']
  needed = _needed(bad)
  verdict = _verdict(bad, needed, tolerance)
  idle = [path for path, array in sorted(linen.items()) if (vacuous or is_vacuous)(path, array)]
  words = [*notes, *_idle_notes(idle, len(linen)), *_nan_notes(linen)]
  if verdict != verdicts.DIFFERS and len(idle) == len(linen):
    reason = 'every reference array is constant or unchanged, so no error could show'
    return PartResult(name, verdicts.NOT_COMPARED, reason, len(leaves), notes=tuple(words))
  worst = tuple(sorted(bad, key=_severity)[:WORST])
  return PartResult(
    name, verdict, _reason(bad, worst, verdict), len(leaves),
    max((leaf.max_abs for leaf in leaves), default=0.0), max((leaf.max_ulp for leaf in leaves), default=0),
    needed, worst, tuple(words))


def is_vacuous(path: Path, array: np.ndarray) -> bool:
  """Tells whether an array is empty, all zero, all not-a-number, or (unless a scalar) constant."""
  if array.size == 0:
    return True
  if is_float(array) and np.isnan(array).all():
    return True
  if array.size == 1:
    return not array.any()
  return bool((array == array.flat[0]).all())


def _leaf(path: Path, linen: np.ndarray | None, nnx: np.ndarray | None, least: float) -> LeafResult:
  text = '/'.join(path)
  if linen is None and nnx is not None:
    detail = f'only NNX has it, {nnx.dtype}{list(nnx.shape)}'
    return LeafResult(text, 'unexpected', detail, math.inf, math.inf)
  if nnx is None and linen is not None:
    detail = f'only Linen has it, {linen.dtype}{list(linen.shape)}'
    return LeafResult(text, 'missing', detail, math.inf, math.inf)
  assert linen is not None and nnx is not None
  return compare_leaf(text, linen, nnx, least)


def _excess(leaf: LeafResult, allowed: float) -> LeafResult:
  """Returns the leaf with the error relative to the scale of what exceeds the allowed difference."""
  if not allowed or leaf.kind not in ('value', 'nan') or leaf.kind == 'nan' and math.isfinite(allowed):
    return leaf
  share = max(0.0, 1 - allowed / leaf.max_abs) if math.isfinite(allowed) else 0.0
  relative = leaf.relative * share if share else 0.0
  words = f'; Linen itself may differ by {allowed:.3g} after rounding'
  return dataclasses.replace(leaf, kind='value', relative=relative, detail=leaf.detail + words)


def _needed(bad: Sequence[LeafResult]) -> float | None:
  if any(leaf.kind != 'value' or not math.isfinite(leaf.relative) for leaf in bad):
    return None
  return max((leaf.relative for leaf in bad), default=0.0)


def _verdict(bad: Sequence[LeafResult], needed: float | None, tolerance: float) -> str:
  if not bad:
    return verdicts.BITWISE
  return verdicts.CLOSE if needed is not None and needed <= tolerance else verdicts.DIFFERS


def _severity(leaf: LeafResult) -> tuple[int, float, str]:
  order = ('missing', 'unexpected', 'shape', 'dtype', 'nan', 'value')
  return order.index(leaf.kind), -leaf.relative, leaf.path


def _reason(bad: Sequence[LeafResult], worst: Sequence[LeafResult], verdict: str) -> str:
  if verdict != verdicts.DIFFERS:
    return ''
  more = f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''
  return f'{worst[0].path or "the output"}: {worst[0].detail}{more}'


def _idle_notes(idle: Sequence[Path], total: int) -> list[str]:
  if not idle:
    return []
  named = ', '.join('/'.join(path) or 'the output' for path in idle[:3]) + (', ...' if len(idle) > 3 else '')
  return [f'{len(idle)} of {total} arrays are constant or unchanged and could not show an error: {named}']


def _nan_notes(linen: Tree) -> list[str]:
  floats = {path: array for path, array in linen.items() if is_float(array)}
  broken = [(path, int((~np.isfinite(array)).sum()), array.size) for path, array in sorted(floats.items())]
  return [f'{"/".join(path) or "the output"}: {count} of {size} numbers are not finite in Linen'
          for path, count, size in broken if count]
