"""Reads the values of an expression, a region at a time: only the chunks that hold it are decoded."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from migrator.checkpoints import codec
from migrator.checkpoints.expressions import (
  Concatenate,
  Expression,
  Literal,
  Reshape,
  Slice,
  Source,
  Stack,
  Take,
  Transpose,
)
from migrator.checkpoints.storage import Stored

# One (start, stop) per axis.
Region = tuple[tuple[int, int], ...]


class Decoded:
  """Keeps decoded chunks while the leaves that share them are written.  limit: in bytes; 0 keeps none."""

  def __init__(self, limit: int = 0):
    self.limit = limit
    self._used = 0
    self._kept: dict[tuple[int, tuple[int, ...]], np.ndarray] = {}

  def chunk(self, array: Stored, grid: tuple[int, ...], name: str) -> np.ndarray:
    """Returns the values of one chunk."""
    key = (id(array), grid)
    if key in self._kept:
      return self._kept[key]
    made = codec.decode(array, grid, name)
    while self._kept and self._used + made.nbytes > self.limit:
      self._used -= self._kept.pop(next(iter(self._kept))).nbytes
    if made.nbytes <= self.limit:
      self._kept[key] = made
      self._used += made.nbytes
    return made


def evaluate(value: Expression, region: Region | None = None, decoded: Decoded | None = None) -> np.ndarray:
  """Returns the values of an expression, or of a region of it."""
  wanted = tuple((0, size) for size in value.shape) if region is None else region
  return _evaluate(value, wanted, decoded or Decoded())


def _evaluate(value: Expression, region: Region, decoded: Decoded) -> np.ndarray:
  if isinstance(value, Source):
    return _read(value, region, decoded)
  if isinstance(value, Literal):
    return value.array[_slices(region)]
  if isinstance(value, Stack):
    start, stop = region[value.axis]
    rest = (*region[:value.axis], *region[value.axis + 1:])
    return _joined(value, region, [(member, rest) for member in value.members[start:stop]], new_axis=True)(decoded)
  if isinstance(value, Concatenate):
    return _joined(value, region, _pieces(value, region), new_axis=False)(decoded)
  if isinstance(value, Take):
    at = (value.index, value.index + 1)
    return _evaluate(value.part, (*region[:value.axis], at, *region[value.axis:]), decoded).squeeze(value.axis)
  if isinstance(value, Slice):
    start, stop = region[value.axis]
    moved = (start + value.start, stop + value.start)
    return _evaluate(value.part, (*region[:value.axis], moved, *region[value.axis + 1:]), decoded)
  if isinstance(value, Transpose):
    below = tuple(region[value.order.index(axis)] for axis in range(value.ndim))
    return _evaluate(value.part, below, decoded).transpose(value.order)
  assert isinstance(value, Reshape)
  return _reshaped(value, region, decoded)


def _joined(value: Stack | Concatenate, region: Region, pieces: Sequence[tuple[Expression, Region]],
            new_axis: bool) -> Callable[[Decoded], np.ndarray]:
  """Returns a function that fills the result piece by piece, so that one part at a time is in memory."""
  def fill(decoded: Decoded) -> np.ndarray:
    made = np.empty([stop - start for start, stop in region], value.dtype)
    offset = 0
    for part, below in pieces:
      values = _evaluate(part, below, decoded)
      size = 1 if new_axis else values.shape[value.axis]
      place = (slice(None),) * value.axis
      made[(*place, slice(offset, offset + size))] = np.expand_dims(values, value.axis) if new_axis else values
      offset += size
    return made
  return fill


def _pieces(value: Concatenate, region: Region) -> list[tuple[Expression, Region]]:
  start, stop = region[value.axis]
  found: list[tuple[Expression, Region]] = []
  offset = 0
  for member in value.members:
    size = member.shape[value.axis]
    low, high = max(start - offset, 0), min(stop - offset, size)
    if low < high:
      found.append((member, (*region[:value.axis], (low, high), *region[value.axis + 1:])))
    offset += size
  return found


def _reshaped(value: Reshape, region: Region, decoded: Decoded) -> np.ndarray:
  """Whole rows of the result are rows of the part where the first axes divide; else the part is read whole."""
  part, row = value.part, math.prod(value.shape[1:])
  whole_rows = bool(region) and all(bounds == (0, size) for bounds, size in zip(region[1:], value.shape[1:]))
  if whole_rows and part.ndim and row:
    start, stop = region[0][0] * row, region[0][1] * row
    below = math.prod(part.shape[1:])
    if below and not start % below and not stop % below:
      rows = ((start // below, stop // below), *((0, size) for size in part.shape[1:]))
      return np.ascontiguousarray(_evaluate(part, rows, decoded)).reshape([b - a for a, b in region])
  return evaluate(part, None, decoded).reshape(value.shape)[_slices(region)]


def _read(value: Source, region: Region, decoded: Decoded) -> np.ndarray:
  array = value.stored
  name = '/'.join(value.path)
  chunk = array.chunk_shape
  if 0 in array.shape:
    return np.empty([stop - start for start, stop in region], value.dtype)
  if all(start % size == 0 and stop - start <= size for (start, stop), size in zip(region, chunk)):
    grid = tuple(start // size for (start, _), size in zip(region, chunk))
    return decoded.chunk(array, grid, name)[tuple(slice(0, stop - start) for start, stop in region)]
  made = np.empty([stop - start for start, stop in region], value.dtype)
  first = [start // size for (start, _), size in zip(region, chunk)]
  counts = [-(-stop // size) - low for (_, stop), size, low in zip(region, chunk, first)]
  for position in np.ndindex(*counts):
    grid = tuple(low + at for low, at in zip(first, position))
    inner, outer = [], []
    for at, size, (start, stop) in zip(grid, chunk, region):
      low, high = max(start, at * size), min(stop, (at + 1) * size)
      inner.append(slice(low - at * size, high - at * size))
      outer.append(slice(low - start, high - start))
    made[tuple(outer)] = decoded.chunk(array, grid, name)[tuple(inner)]
  return made


def _slices(region: Region) -> tuple[slice, ...]:
  return tuple(slice(start, stop) for start, stop in region)
