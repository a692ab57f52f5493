"""Comparing one array with its reference."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from migrator.equivalence.verdicts import LeafResult

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def is_float(array: np.ndarray) -> bool:
  """Tells whether the array holds floats or complex numbers; those of ml_dtypes have NumPy kind 'V'."""
  return array.dtype.kind in 'fcV'


def scale_of(array: np.ndarray) -> float:
  """Returns the largest finite magnitude; 0 when there is none."""
  wide = _wide(array)
  finite = np.abs(wide[np.isfinite(wide)])
  return float(finite.max()) if finite.size else 0.0


def compare_leaf(path: str, linen: np.ndarray, nnx: np.ndarray, least_scale: float = 0.0) -> LeafResult:
  """Compares one array; `linen` is the reference.

  Args:
    path: for the result.
    least_scale: the error is relative to the larger of this and the reference's scale.
  """
  if linen.shape != nnx.shape:
    detail = f'shape {list(linen.shape)} in Linen, {list(nnx.shape)} in NNX'
    return LeafResult(path, 'shape', detail, math.inf, math.inf)
  if linen.dtype != nnx.dtype:
    detail = f'dtype {linen.dtype} in Linen, {nnx.dtype} in NNX'
    return LeafResult(path, 'dtype', detail, math.inf, math.inf)
  if linen.tobytes() == nnx.tobytes():
    return LeafResult(path, 'equal')
  if not is_float(linen):
    return _whole_numbers(path, linen, nnx)
  return _floats(path, linen, nnx, least_scale)


def ulp_distance(linen: np.ndarray, nnx: np.ndarray) -> np.ndarray:
  """Returns how many representable numbers lie between the floats of two arrays, as Python-exact integers."""
  if linen.dtype.kind == 'c':
    part = np.float32 if linen.dtype == np.complex64 else np.float64
    return ulp_distance(np.ascontiguousarray(linen).view(part), np.ascontiguousarray(nnx).view(part))
  first, second = _ordered(linen), _ordered(nnx)
  return np.where(first > second, first - second, second - first)


def _ordered(array: np.ndarray) -> np.ndarray:
  """Maps floats to unsigned integers in the same order; both zeros become the same one."""
  kind: Any = _UNSIGNED[array.dtype.itemsize]
  bits = np.ascontiguousarray(array).view(kind)
  sign = kind(1 << (8 * array.dtype.itemsize - 1))
  magnitude = bits & ~sign
  return np.where(bits & sign, sign - magnitude, sign + magnitude)


def _wide(array: np.ndarray) -> np.ndarray:
  if array.dtype.kind == 'c':
    return array.astype(np.complex128)
  return array.astype(np.float64)


def _whole_numbers(path: str, linen: np.ndarray, nnx: np.ndarray) -> LeafResult:
  different = linen != nnx
  where = tuple(int(i) for i in np.argwhere(different)[0])
  detail = (f'{int(different.sum())} of {linen.size} values differ, '
            f'{linen[where]} and {nnx[where]} at {list(where)}')
  largest = float(np.abs(_wide(linen) - _wide(nnx)).max())
  return LeafResult(path, 'value', detail, largest, math.inf, 0, where)


def _floats(path: str, linen: np.ndarray, nnx: np.ndarray, least_scale: float) -> LeafResult:
  first, second = _wide(linen), _wide(nnx)
  odd = _odd_places(first, second)
  if odd is not None:
    detail = f'{linen[odd]} in Linen but {nnx[odd]} in NNX at {list(odd)}'
    return LeafResult(path, 'nan', detail, math.inf, math.inf, 0, odd)
  finite = np.isfinite(first)
  error = np.zeros(first.shape)
  error[finite] = np.abs(first[finite] - second[finite])
  largest = float(error.max())
  scale = max(scale_of(linen), least_scale)
  relative = largest / scale if scale else (math.inf if largest else 0.0)
  where = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
  ulp = _largest_ulp(linen, nnx, finite)
  detail = (f'largest difference {largest:.3g} at {list(where)} ({linen[where]} and {nnx[where]}), '
            f'{relative:.3g} of the scale {scale:.3g}')
  return LeafResult(path, 'value', detail, largest, relative, ulp, where)


def _largest_ulp(linen: np.ndarray, nnx: np.ndarray, finite: np.ndarray) -> int:
  if not finite.any():
    return 0
  return int(ulp_distance(linen[finite], nnx[finite]).max())


def _odd_places(first: np.ndarray, second: np.ndarray) -> tuple[int, ...] | None:
  """Returns the first place where one is finite and the other is not, or they are infinite differently."""
  nan = np.isnan(first) != np.isnan(second)
  infinite = (np.isinf(first) | np.isinf(second)) & ~np.isnan(first) & ~np.isnan(second) & (first != second)
  places = np.argwhere(nan | infinite)
  return tuple(int(i) for i in places[0]) if len(places) else None
