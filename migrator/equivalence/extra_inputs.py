"""Inputs beside those of the case: what one ordinary batch does not show.

Every kind is a function of the case's arrays; None where there is nothing for it to change.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from migrator.equivalence.leaf import is_float

Arrays = tuple[np.ndarray, ...]
LARGE = 100
# An axis that is cut must keep this many places.
SHORTEST = 2


def one_nan(arrays: Arrays) -> Arrays | None:
  """One not-a-number in the first row of every float input: it spreads as far as the computation mixes."""
  def spoiled(array: np.ndarray) -> np.ndarray:
    row = array[:1] if array.ndim > 1 else array
    changed = array.copy()
    changed[tuple(size // 2 for size in row.shape)] = np.nan
    return changed
  return _changed(arrays, spoiled, lambda array: is_float(array) and array.size > 0)


def large(arrays: Arrays) -> Arrays | None:
  """Floats a hundred times as large: padding, clipping and saturation show."""
  return _changed(arrays, lambda array: (array * LARGE).astype(array.dtype), is_float)


def masked(arrays: Arrays) -> Arrays | None:
  """Masks that are true in the first half of their last axis; tokens that are 0, as padding is, in the second."""
  def halved(array: np.ndarray) -> np.ndarray:
    first = np.arange(array.shape[-1]) < (array.shape[-1] + 1) // 2
    return np.broadcast_to(first, array.shape).copy() if array.dtype == bool else np.where(first, array, 0).astype(array.dtype)
  return _changed(arrays, halved, lambda array: array.dtype.kind in 'biu' and array.ndim > 1)


def shorter(arrays: Arrays) -> Arrays | None:
  """About half the length or size: the second axis of tokens, sequences or images, and every axis of that size."""
  # Masks may have axes of one in between; they follow what they mask.
  sizes = {array.shape[1] for array in arrays if array.dtype != bool and (
    array.ndim > 2 or array.ndim == 2 and array.dtype.kind in 'iu')}
  if len(sizes) != 1 or (length := sizes.pop()) <= SHORTEST:
    return None
  kept = max(SHORTEST, (length + 1) // 2)

  def cut(array: np.ndarray) -> np.ndarray:
    # The last axis of floats is their features; that of a mask or of tokens is a length.
    last = array.ndim - is_float(array)
    limits = [kept if 1 <= axis < last and size == length else size for axis, size in enumerate(array.shape)]
    return np.ascontiguousarray(array[tuple(map(slice, limits))])

  return _changed(arrays, cut, lambda array: array.ndim > 1)


# By the words of a report.
KINDS: dict[str, Callable[[Arrays], Arrays | None]] = {
  'one not-a-number': one_nan, 'large inputs': large, 'masked inputs': masked, 'shorter inputs': shorter}
# These are compiled anew.
RESHAPED = ('shorter inputs',)


def _changed(arrays: Sequence[np.ndarray], change: Callable[[np.ndarray], np.ndarray],
             fits: Callable[[np.ndarray], bool]) -> Arrays | None:
  # Random keys are no numbers, and NumPy cannot hold them.
  changed = tuple(change(np.asarray(array)) if isinstance(array.dtype, np.dtype) and fits(array) else array
                  for array in arrays)
  same = all(one is other or one.shape == other.shape and np.asarray(one).tobytes() == other.tobytes()
             for one, other in zip(arrays, changed, strict=True))
  return None if same else changed
