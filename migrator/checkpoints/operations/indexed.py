"""Operations that change zarr metadata and chunk keys only: the encoded bytes of every chunk stay.

Each function returns None where that cannot be; then the values are streamed.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from migrator.checkpoints import zarr
from migrator.checkpoints.expressions import (
  Concatenate,
  Expression,
  Reshape,
  Slice,
  Source,
  Stack,
  Take,
  Transpose,
)
from migrator.checkpoints.operations import sharding
from migrator.checkpoints.storage import Chunk, Grid, Range, Stored


def indexed(value: Expression) -> Stored | None:
  """Returns the array an expression is without touching its bytes; None if it must be computed."""
  if isinstance(value, Source):
    return value.stored
  parts = [indexed(part) for part in value.parts]
  there = [part for part in parts if part is not None]
  if not parts or len(there) < len(parts):
    return None
  if isinstance(value, Stack):
    return _stack(there, value.axis)
  if isinstance(value, Concatenate):
    return _concatenate(there, value.axis)
  if isinstance(value, Take):
    return _take(there[0], value.axis, value.index)
  if isinstance(value, Slice):
    return _slice(there[0], value.axis, value.start, value.stop)
  if isinstance(value, Transpose):
    return _transpose(there[0], value.order)
  return _reshape(there[0], value.shape) if isinstance(value, Reshape) else None


def _changed(array: Stored, shape: Sequence[int], chunk: Sequence[int], inner: Sequence[int],
             chunks: dict[Grid, Chunk], placed: str | None = None) -> Stored:
  metadata = zarr.reshaped(array.version, array.metadata, shape, chunk, inner)
  return dataclasses.replace(array, shape=tuple(shape), metadata=metadata, chunks=chunks, extra=None, sharding=placed)


def _inner(array: Stored) -> tuple[int, ...]:
  return zarr.inner_shape(array.version, array.metadata)


def _has_transpose(array: Stored) -> bool:
  return array.version == 3 and not zarr.is_c_order(3, array.metadata)


def _alike(parts: Sequence[Stored]) -> bool:
  """Whether arrays differ in shape and places only."""
  first = parts[0]
  return all(part.version == first.version and part.extra is None and part.kind == first.kind
             and part.chunk_shape == first.chunk_shape and _inner(part) == _inner(first)
             and zarr.same_encoding(first.version, part.metadata, first.metadata) for part in parts)


def _stack(parts: list[Stored], axis: int) -> Stored | None:
  """A new axis cut into pieces of one: the bytes of a piece, in C or F order, are the same."""
  first = parts[0]
  if not _alike(parts) or _has_transpose(first):
    return None
  chunks = {_with(grid, axis, number): chunk for number, part in enumerate(parts)
            for grid, chunk in part.chunks.items()}
  return _changed(first, _with(first.shape, axis, len(parts)), _with(first.chunk_shape, axis, 1),
                  _with(_inner(first), axis, 1), chunks, sharding.stacked([part.sharding for part in parts], axis))


def _concatenate(parts: list[Stored], axis: int) -> Stored | None:
  """Every part but the last must be whole pieces on the axis."""
  first = parts[0]
  size = first.chunk_shape[axis]
  if not _alike(parts) or any(part.shape[axis] % size for part in parts[:-1]):
    return None
  chunks: dict[Grid, Chunk] = {}
  offset = 0
  for part in parts:
    for grid, chunk in part.chunks.items():
      chunks[_at(grid, axis, grid[axis] + offset // size)] = chunk
    offset += part.shape[axis]
  return _changed(first, _at(first.shape, axis, offset), first.chunk_shape, _inner(first), chunks,
                  sharding.same([part.sharding for part in parts]))


def _take(array: Stored, axis: int, index: int) -> Stored | None:
  """By pieces of one, or by bytes where a piece is raw and holds the position in one run."""
  if array.extra is not None or _has_transpose(array):
    return None
  chunk, inner = array.chunk_shape, _inner(array)
  shape = _without(array.shape, axis)
  placed = sharding.taken(array.sharding, axis)
  if chunk[axis] == 1 and inner[axis] == 1:
    chunks = {_without(grid, axis): where for grid, where in array.chunks.items() if grid[axis] == index}
    return _changed(array, shape, _without(chunk, axis), _without(inner, axis), chunks, placed)
  cut = _run(array, axis, index % chunk[axis], 1)
  if cut is None:
    return None
  chunks = {_without(grid, axis): _part(where, *cut) for grid, where in array.chunks.items()
            if grid[axis] == index // chunk[axis]}
  rest = _without(chunk, axis)
  return _changed(array, shape, rest, rest, chunks, placed)


def _slice(array: Stored, axis: int, start: int, stop: int) -> Stored | None:
  """By whole pieces, or by bytes where one raw piece holds the positions in one run."""
  if array.extra is not None or start == stop:
    return None
  chunk = array.chunk_shape
  size = chunk[axis]
  shape = _at(array.shape, axis, stop - start)
  if not start % size and (not stop % size or stop == array.shape[axis]):
    chunks = {_at(grid, axis, grid[axis] - start // size): where for grid, where in array.chunks.items()
              if start // size <= grid[axis] < -(-stop // size)}
    return _changed(array, shape, chunk, _inner(array), chunks, sharding.same([array.sharding]))
  cut = _run(array, axis, start % size, stop - start)
  if cut is None or start // size != (stop - 1) // size:
    return None
  chunks = {_at(grid, axis, 0): _part(where, *cut) for grid, where in array.chunks.items() if grid[axis] == start // size}
  smaller = _at(chunk, axis, stop - start)
  return _changed(array, shape, smaller, smaller, chunks, sharding.same([array.sharding]))


def _transpose(array: Stored, order: tuple[int, ...]) -> Stored | None:
  """Free where axes of one move; else C order becomes F order (zarr 2), or a codec says so (zarr 3)."""
  if array.extra is not None:
    return None
  chunk, inner = array.chunk_shape, _inner(array)
  moved = [axis for axis in order if chunk[axis] != 1]
  chunks = {_permuted(grid, order): where for grid, where in array.chunks.items()}
  made = _changed(array, _permuted(array.shape, order), _permuted(chunk, order), _permuted(inner, order), chunks,
                  sharding.transposed(array.sharding, order))
  metadata: Any = made.metadata
  if array.version == 2:
    if moved == sorted(moved, reverse=True) and len(moved) > 1:
      metadata['order'] = 'F' if metadata.get('order', 'C') == 'C' else 'C'
      return made
    return made if moved == sorted(moved) else None
  if moved == sorted(moved) and not _has_transpose(array):
    return made
  return made if inner == chunk and _with_codec(metadata, order) else None


def _with_codec(metadata: dict[str, Any], order: tuple[int, ...]) -> bool:
  """Adds the order to the transpose codec in front of the bytes; one that changes nothing is left out."""
  codecs = zarr.bytes_codecs(3, metadata)
  if any(codec['name'] == 'transpose' for codec in codecs[1:]):
    return False
  known = codecs[0]['configuration']['order'] if codecs[0]['name'] == 'transpose' else list(range(len(order)))
  if not isinstance(known, list) or sorted(known) != list(range(len(order))):
    return False
  if codecs[0]['name'] == 'transpose':
    del codecs[0]
  inverse = [order.index(axis) for axis in range(len(order))]
  composed = [inverse[axis] for axis in known]
  if composed != list(range(len(order))):
    codecs.insert(0, {'name': 'transpose', 'configuration': {'order': composed}})
  return True


def _reshape(array: Stored, shape: tuple[int, ...]) -> Stored | None:
  """An array of one piece in C order."""
  whole = array.chunk_shape == array.shape and _inner(array) == array.shape and len(array.chunks) == 1
  if not whole or array.extra is not None or 0 in shape or not zarr.is_c_order(array.version, array.metadata):
    return None
  chunks = {(0,) * len(shape): next(iter(array.chunks.values()))}
  return _changed(array, shape, shape, shape, chunks)


def _run(array: Stored, axis: int, start: int, count: int) -> tuple[int, int] | None:
  """Returns (offset, length) of some positions inside a raw piece in C order, where they are one run."""
  chunk = array.chunk_shape
  is_plain = zarr.is_raw(array.version, array.metadata) and zarr.is_c_order(array.version, array.metadata)
  if not is_plain or math.prod(chunk[:axis]) != 1:
    return None
  step = math.prod(chunk[axis + 1:]) * array.dtype.itemsize
  return start * step, count * step


def _part(chunk: Chunk, offset: int, length: int) -> Chunk:
  if isinstance(chunk, bytes):
    return chunk[offset:offset + length]
  return Range(chunk.file, chunk.offset + offset, length)


def _with(sizes: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
  return (*sizes[:axis], size, *sizes[axis:])


def _without(sizes: tuple[int, ...], axis: int) -> tuple[int, ...]:
  return (*sizes[:axis], *sizes[axis + 1:])


def _at(sizes: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
  return (*sizes[:axis], size, *sizes[axis + 1:])


def _permuted(sizes: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
  return tuple(sizes[axis] for axis in order)
