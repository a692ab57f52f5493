"""One array as it lies on disk: zarr metadata, and where the bytes of each chunk are."""
from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import Any

from migrator.checkpoints import zarr
from migrator.checkpoints.dtypes import DType, dtype_of, native, zarr2_name
from migrator.checkpoints.errors import CheckpointError

Grid = tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
  """Bytes in a file.  file: absolute real path, or a URL such as s3://bucket/key."""

  file: str
  offset: int
  length: int


# A small value lies in the index itself.
Chunk = Range | bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
  """An array on disk.

  version, metadata: of zarr, 2 or 3.  chunks: {grid index: bytes}; one that is absent holds
  the fill value.  kind: 'jax.Array', 'np.ndarray' or 'scalar', as Orbax restores it without a
  target.  extra: Orbax's ext_metadata (typed random keys).  sharding: Orbax's entry, as JSON text.
  """

  shape: tuple[int, ...]
  dtype: DType
  version: int
  metadata: Mapping[str, Any]
  chunks: Mapping[Grid, Chunk]
  kind: str = 'np.ndarray'
  extra: Mapping[str, Any] | None = None
  sharding: str | None = None

  @property
  def nbytes(self) -> int:
    """Bytes of the values, decoded."""
    return math.prod(self.shape) * self.dtype.itemsize

  @property
  def chunk_shape(self) -> tuple[int, ...]:
    return zarr.chunk_shape(self.version, self.metadata)

  def encoded(self) -> int:
    """Bytes of the chunks as they are on disk."""
    return sum(len(chunk) if isinstance(chunk, bytes) else chunk.length for chunk in self.chunks.values())


def stored(version: int, metadata: Mapping[str, Any], chunks: Mapping[Grid, Chunk], **rest: Any) -> Stored:
  """Returns an array from zarr metadata that was checked by `zarr.checked`."""
  return Stored(tuple(metadata['shape']), native(zarr.dtype(version, metadata)), version, metadata, chunks, **rest)


def raw(shape: tuple[int, ...], dtype: Any, chunk: Chunk, order: str = 'C', **rest: Any) -> Stored:
  """Returns an array whose bytes lie uncompressed in a file of any format: a legal zarr 2 chunk.

  Args:
    dtype: of NumPy, or a DType.

  Raises:
    CheckpointError: a negative size, or another number of bytes than the shape needs.
  """
  if any(not isinstance(size, int) or isinstance(size, bool) or size < 0 for size in shape):
    raise CheckpointError(f'shape {shape} is none of an array')
  kind = dtype_of(dtype)
  length = len(chunk) if isinstance(chunk, bytes) else chunk.length
  if length != math.prod(shape) * kind.itemsize:
    raise CheckpointError(f'{length} bytes are there, shape {shape} of {kind} needs '
                          f'{math.prod(shape) * kind.itemsize}')
  metadata = {'chunks': [max(size, 1) for size in shape], 'compressor': None, 'dimension_separator': '.', 'dtype': zarr2_name(kind),
              'fill_value': None, 'filters': None, 'order': order, 'shape': list(shape), 'zarr_format': 2}
  chunks = {(0,) * len(shape): chunk} if 0 not in shape else {}
  return Stored(tuple(shape), native(kind), 2, metadata, chunks, **rest)


def relabelled(array: Stored, version: int) -> Stored:
  """Returns an array that `raw` made, in C order, as one of a zarr version."""
  if version == array.version:
    return array
  little = {'name': 'bytes', 'configuration': {'endian': sys.byteorder}}
  metadata = {**zarr.new_metadata(array.shape, array.dtype, 3, array.chunk_shape), 'codecs': [little]}
  return dataclasses.replace(array, version=3, metadata=metadata)
