"""Chunks as bytes: of the store, and of their values where the codec is none or Zstandard.  No NumPy here."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from migrator.checkpoints import folder, zarr, zstd
from migrator.checkpoints.dtypes import DType
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.expressions import Expression, Source
from migrator.checkpoints.storage import Chunk, Stored

# Zeros become 30,000 times smaller; what claims more is damage, and would ask for all memory.
MOST_COMPRESSED = 1_000_000


def content(chunk: Chunk) -> bytes:
  """Returns the encoded bytes of a chunk."""
  if isinstance(chunk, bytes):
    return chunk
  return folder.read(chunk.file, chunk.offset, chunk.length)


def is_known(version: int, metadata: Mapping[str, Any]) -> bool:
  """Whether `unpacked` and `zstd` serve for this codec."""
  return zarr.is_raw(version, metadata) or (zarr.is_zstd(version, metadata) and zstd.library() is not None)


def unpacked(array: Stored, grid: tuple[int, ...], name: str) -> bytes:
  """Returns the bytes of the values of one stored chunk of a known codec, in the order and byte order they have there.

  Raises:
    CheckpointError: bytes that are no such chunk.
  """
  encoded = content(array.chunks[grid])
  size = math.prod(array.chunk_shape) * array.dtype.itemsize
  found = encoded if zarr.is_raw(array.version, array.metadata) else zstd.decompressed(encoded, size)
  if found is None:
    raise CheckpointError(f'{name}: a chunk of {len(encoded)} bytes cannot be decoded; {DAMAGED}')
  if len(found) != size:
    raise CheckpointError(f'{name}: a chunk of {size} bytes is stored in {len(found)}; {DAMAGED}')
  return found


def refuse_absurd(array: Stored, grid: tuple[int, ...], name: str) -> None:
  """Raises CheckpointError for a chunk that claims to be far larger, or smaller, than its bytes can be."""
  chunk = array.chunks[grid]
  encoded = len(chunk) if isinstance(chunk, bytes) else chunk.length
  size = math.prod(array.chunk_shape) * array.dtype.itemsize
  if encoded > 2 * size + (1 << 16) or size > MOST_COMPRESSED * (encoded + 1):
    raise CheckpointError(f'{name}: a chunk of {size} bytes is stored in {encoded}; {DAMAGED}')


def number(value: Expression) -> Any:
  """Returns the number of an array without axes; NumPy reads those that are stored in other ways."""
  if value.shape != ():
    raise CheckpointError(f'an array of shape {value.shape} is no number')
  if isinstance(value, Source):
    array = value.stored
    if () in array.chunks and is_known(array.version, array.metadata):
      name = '/'.join(value.path)
      refuse_absurd(array, (), name)
      found = stored_type(array).unpack(unpacked(array, (), name))
      if found is not None:
        return found
  import numpy as np
  return np.asarray(value).item()


def stored_type(array: Stored) -> DType:
  """Returns the element type with the byte order that the stored bytes have."""
  return zarr.stored_dtype(array.version, array.metadata)
