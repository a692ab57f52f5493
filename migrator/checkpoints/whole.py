"""Whether a chunk that is a file of its own was cut: told by its structure, without decoding it.

Formats: Zstandard frames (RFC 8878, 3.1.1), and the index at the end of a zarr 3 shard.
"""
from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from typing import Any

from migrator.checkpoints import folder, zarr
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.index.crc32c import crc32c
from migrator.checkpoints.storage import Range, Stored

_MAGIC = b'\x28\xb5\x2f\xfd'
_DICTIONARY = (0, 1, 2, 4)
_RUN, _RESERVED = 1, 3


def check(array: Stored, name: str) -> None:
  """Raises CheckpointError if a chunk of the array is not whole; codecs that are not known here pass."""
  compressor = array.metadata.get('compressor') if array.version == 2 else None
  for grid, chunk in array.chunks.items():
    if not isinstance(chunk, Range):
      continue
    if zarr.is_raw(array.version, array.metadata):
      sound = chunk.length == math.prod(array.chunk_shape) * array.dtype.itemsize
    elif isinstance(compressor, Mapping) and compressor.get('id') == 'zstd' and not array.metadata.get('filters'):
      sound = _is_frame(chunk)
    elif (shard := _shard(array.version, array.metadata)) is not None:
      sound = _is_shard(chunk, shard)
    else:
      continue
    if not sound:
      raise CheckpointError(f'{name}: its chunk {".".join(map(str, grid))} is cut or is another file; {DAMAGED}')


def _is_frame(chunk: Range) -> bool:
  """Whether the bytes are exactly one Zstandard frame: its blocks are stepped over, none is read."""
  file = os.open(chunk.file, os.O_RDONLY)
  try:
    head = os.pread(file, 18, chunk.offset)
    if len(head) < 6 or head[:4] != _MAGIC:
      return False
    flags = head[4]
    single, size = flags >> 5 & 1, flags >> 6
    at = 5 + (1 - single) + _DICTIONARY[flags & 3] + ((1 << size) if size else single)
    last = 0
    while not last:
      block = os.pread(file, 3, chunk.offset + at)
      if len(block) < 3 or at + 3 > chunk.length:
        return False
      header = int.from_bytes(block, 'little')
      last, kind = header & 1, header >> 1 & 3
      if kind == _RESERVED:
        return False
      at += 3 + (1 if kind == _RUN else header >> 3)
    return at + (4 if flags & 4 else 0) == chunk.length
  finally:
    os.close(file)


def _shard(version: int, metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
  codecs = metadata['codecs'] if version == 3 else []
  if len(codecs) != 1 or codecs[0]['name'] != 'sharding_indexed':
    return None
  found = codecs[0]['configuration']
  plain = [codec['name'] for codec in found.get('index_codecs', [])] == ['bytes', 'crc32c']
  outer, inner = zarr.chunk_shape(version, metadata), found['chunk_shape']
  whole = all(size and not total % size for total, size in zip(outer, inner))
  if not plain or not whole or found.get('index_location', 'end') != 'end':
    return None
  return {'pieces': math.prod(total // size for total, size in zip(outer, inner))}


def _is_shard(chunk: Range, shard: Mapping[str, Any]) -> bool:
  """Whether the index at the end is sound and its pieces lie before it."""
  length = 16 * shard['pieces'] + 4
  if chunk.length < length:
    return False
  index = folder.read(chunk.file, chunk.offset + chunk.length - length, length)
  if crc32c(index[:-4]) != int.from_bytes(index[-4:], 'little'):
    return False
  numbers = struct.unpack(f'<{2 * shard["pieces"]}Q', index[:-4])
  empty = (1 << 64) - 1
  return all(start == empty == size or start + size <= chunk.length - length
             for start, size in zip(numbers[::2], numbers[1::2]))
