"""Chunk bytes to values and back, by TensorStore's zarr drivers over a store in memory.

Raw chunks need no TensorStore.  One chunk is in memory at a time, encoded and decoded.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from migrator.checkpoints import folder, zarr
from migrator.checkpoints.dtypes import native, zarr2_name
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.storage import Chunk, Stored

_DRIVERS = {2: 'zarr', 3: 'zarr3'}
# Zeros become 30,000 times smaller; what claims more is damage, and would ask for all memory.
MOST_COMPRESSED = 1_000_000
# A context of its own makes it a store of its own.
_STORE = 'memory://array/'


def content(chunk: Chunk) -> bytes:
  """Returns the encoded bytes of a chunk."""
  if isinstance(chunk, bytes):
    return chunk
  return folder.read(chunk.file, chunk.offset, chunk.length)


def decode(array: Stored, grid: tuple[int, ...], name: str) -> np.ndarray:
  """Returns the values of one chunk, of the chunk's whole shape; raises CheckpointError for bytes that are none."""
  shape = array.chunk_shape
  chunk = array.chunks.get(grid)
  if chunk is None:
    return np.full(shape, array.metadata.get('fill_value') or 0, array.dtype)
  encoded = len(chunk) if isinstance(chunk, bytes) else chunk.length
  size = math.prod(shape) * array.dtype.itemsize
  if encoded > 2 * size + (1 << 16) or size > MOST_COMPRESSED * (encoded + 1):
    raise CheckpointError(f'{name}: a chunk of {size} bytes is stored in {encoded}; {DAMAGED}')
  if zarr.is_raw(array.version, array.metadata):
    return _raw(array, content(chunk), name)
  try:
    return _through_tensorstore(array, content(chunk))
  except CheckpointError:
    raise
  except Exception as error:  # TensorStore raises several types; each means that the bytes are no chunk
    reason = str(error).strip().splitlines()[0][:200]
    raise CheckpointError(f'{name}: a chunk cannot be decoded ({reason}); {DAMAGED}') from error


def _raw(array: Stored, encoded: bytes, name: str) -> np.ndarray:
  shape = array.chunk_shape
  kind = zarr.dtype(array.version, array.metadata)
  if array.version == 3 and kind.itemsize > 1:
    endian = array.metadata['codecs'][0].get('configuration', {}).get('endian', 'little')
    kind = kind.newbyteorder('<' if endian == 'little' else '>') if kind.isbuiltin == 1 else kind
  if len(encoded) != math.prod(shape) * kind.itemsize:
    raise CheckpointError(f'{name}: a chunk of {math.prod(shape) * kind.itemsize} bytes is stored in {len(encoded)}; {DAMAGED}')
  values = np.frombuffer(encoded, kind).reshape(shape, order=array.metadata.get('order', 'C') if array.version == 2 else 'C')
  return values.astype(native(kind), copy=False)


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


def encode(values: np.ndarray, version: int, metadata: Mapping[str, Any]) -> bytes:
  """Returns the bytes of one chunk; `values` has the chunk's shape."""
  if version == 2 and zarr.is_raw(version, metadata) and zarr.is_c_order(version, metadata):
    return np.ascontiguousarray(values).tobytes()
  import tensorstore as ts
  one = zarr.reshaped(version, metadata, values.shape, values.shape, zarr.inner_shape(version, metadata))
  memory = ts.Context()
  opened = ts.open({'driver': _DRIVERS[version], 'kvstore': _STORE, 'metadata': one,
                    'store_data_equal_to_fill_value': True}, context=memory, create=True).result()
  opened.write(values).result()
  store = ts.KvStore.open(_STORE, context=memory).result()
  found: bytes = store.read(zarr.chunk_key(version, one, (0,) * values.ndim)).result().value
  return found


def new_metadata(shape: Sequence[int], dtype: np.dtype, version: int, chunk: Sequence[int]) -> dict[str, Any]:
  """Returns the metadata of an array as Orbax writes them: zstd, C order."""
  if version == 2:
    return {'chunks': list(chunk), 'compressor': {'id': 'zstd', 'level': 1}, 'dimension_separator': '.',
            'dtype': zarr2_name(dtype), 'fill_value': None, 'filters': None, 'order': 'C', 'shape': list(shape),
            'zarr_format': 2}
  return {'zarr_format': 3, 'node_type': 'array', 'shape': list(shape), 'data_type': dtype.name,
          'chunk_grid': {'name': 'regular', 'configuration': {'chunk_shape': list(chunk)}},
          'chunk_key_encoding': {'name': 'default'}, 'fill_value': _zero(dtype),
          'codecs': [{'name': 'bytes', 'configuration': {'endian': 'little'}},
                     {'name': 'zstd', 'configuration': {'level': 1, 'checksum': False}}]}


def _zero(dtype: np.dtype) -> Any:
  if dtype.kind == 'b':
    return False
  if dtype.kind in 'iu' or dtype.name.startswith(('int', 'uint')):
    return 0
  return [0.0, 0.0] if dtype.kind == 'c' else 0.0
