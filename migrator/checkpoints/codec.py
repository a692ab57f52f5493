"""Chunk bytes to values and back: raw and Zstandard chunks by NumPy, others by TensorStore's zarr drivers.

One chunk is in memory at a time, encoded and decoded.
"""
from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from migrator.checkpoints import folder, packed, zarr, zstd
from migrator.checkpoints.dtypes import native
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.storage import Stored

_DRIVERS = {2: 'zarr', 3: 'zarr3'}
# A context of its own makes it a store of its own.
_STORE = 'memory://array/'


def decode(array: Stored, grid: tuple[int, ...], name: str) -> np.ndarray:
  """Returns the values of one chunk, of the chunk's whole shape; raises CheckpointError for bytes that are none."""
  if grid not in array.chunks:
    return np.full(array.chunk_shape, array.metadata.get('fill_value') or 0, array.dtype.dtype)
  packed.refuse_absurd(array, grid, name)
  if packed.is_known(array.version, array.metadata):
    order = array.metadata.get('order', 'C') if array.version == 2 else 'C'
    kind = packed.stored_type(array)
    values: np.ndarray = _unpacked(array, grid, name).view(kind.dtype).reshape(array.chunk_shape, order='F' if order == 'F' else 'C')
    return values.astype(native(kind).dtype, copy=False)
  try:
    return _through_tensorstore(array, packed.content(array.chunks[grid]))
  except CheckpointError:
    raise
  except Exception as error:  # TensorStore raises several types; each means that the bytes are no chunk
    reason = str(error).strip().splitlines()[0][:200]
    raise CheckpointError(f'{name}: a chunk cannot be decoded ({reason}); {DAMAGED}') from error


def _unpacked(array: Stored, grid: tuple[int, ...], name: str) -> np.ndarray:
  """As `packed.unpacked`, into memory of NumPy, which asks the system for large pages."""
  chunk = array.chunks[grid]
  if isinstance(chunk, bytes):
    return np.frombuffer(packed.unpacked(array, grid, name), np.uint8)
  encoded = np.empty(chunk.length, np.uint8)
  folder.read_into(chunk.file, chunk.offset, encoded.data)
  size = math.prod(array.chunk_shape) * array.dtype.itemsize
  if zarr.is_raw(array.version, array.metadata):
    if chunk.length != size:
      raise CheckpointError(f'{name}: a chunk of {size} bytes is stored in {chunk.length}; {DAMAGED}')
    return encoded
  values = np.empty(size, np.uint8)
  if not zstd.decompress_into(encoded.data, values.data):
    raise CheckpointError(f'{name}: a chunk of {chunk.length} bytes cannot be decoded; {DAMAGED}')
  return values


def _through_tensorstore(array: Stored, encoded: bytes) -> np.ndarray:
  import tensorstore as ts
  shape = array.chunk_shape
  metadata = zarr.reshaped(array.version, array.metadata, shape, shape, zarr.inner_shape(array.version, array.metadata))
  memory = ts.Context()
  store = ts.KvStore.open(_STORE, context=memory).result()
  store.write(zarr.FILES[array.version], json.dumps(metadata).encode()).result()
  store.write(zarr.chunk_key(array.version, metadata, (0,) * len(shape)), encoded).result()
  del encoded
  opened = ts.open({'driver': _DRIVERS[array.version], 'kvstore': _STORE, 'fill_missing_data_reads': False},
                   context=memory, open=True).result()
  values: np.ndarray = opened.read(order='C').result()
  return values


def encode(values: np.ndarray, version: int, metadata: Mapping[str, Any]) -> Iterator[bytes]:
  """Yields the bytes of one chunk, in pieces; `values` has the chunk's shape."""
  if packed.is_known(version, metadata) and zarr.is_c_order(version, metadata):
    plain = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    yield from [plain.tobytes()] if zarr.is_raw(version, metadata) else zstd.compressed(plain)
  else:
    yield _encoded_by_tensorstore(values, version, metadata)


def _encoded_by_tensorstore(values: np.ndarray, version: int, metadata: Mapping[str, Any]) -> bytes:
  import tensorstore as ts
  one = zarr.reshaped(version, metadata, values.shape, values.shape, zarr.inner_shape(version, metadata))
  memory = ts.Context()
  opened = ts.open({'driver': _DRIVERS[version], 'kvstore': _STORE, 'metadata': one,
                    'store_data_equal_to_fill_value': True}, context=memory, create=True).result()
  opened.write(values).result()
  store = ts.KvStore.open(_STORE, context=memory).result()
  found: bytes = store.read(zarr.chunk_key(version, one, (0,) * values.ndim)).result().value
  return found
