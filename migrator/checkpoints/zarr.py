"""Metadata of zarr arrays, versions 2 and 3: checked when read, changed without touching chunk bytes.

Specifications: https://zarr-specs.readthedocs.io, 'Zarr Storage Specification Version 2', and 'Zarr
core specification (version 3)' with the `sharding_indexed` and `transpose` codecs.
"""
from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.checkpoints.dtypes import DType, dtype_named, zarr2_name
from migrator.checkpoints.errors import CheckpointError

FILES = {2: '.zarray', 3: 'zarr.json'}
MOST_DIMENSIONS = 32
# No array of weights is larger; a size beyond it is damage or an attack.
MOST_BYTES = 1 << 50
_NUMBER = re.compile(r'0|[1-9][0-9]{0,17}')


def checked(version: int, metadata: Any, name: str) -> dict[str, Any]:
  """Returns the metadata of one array; raises CheckpointError unless all that is used here is sound."""
  try:
    shape, chunks = metadata['shape'], chunk_shape(version, metadata)
    kind = dtype(version, metadata)
    separator(version, metadata)
    sound = (metadata['zarr_format'] == version and len(shape) == len(chunks) <= MOST_DIMENSIONS
             and all(_is_size(size) for size in shape) and all(_is_size(size) and size for size in chunks)
             and len(inner_shape(version, metadata)) == len(shape)
             and math.prod(shape) * kind.itemsize <= MOST_BYTES and math.prod(chunks) * kind.itemsize <= MOST_BYTES)
  except (KeyError, TypeError, IndexError, AttributeError) as error:
    raise CheckpointError(f'{name}: its metadata is no zarr {version} array ({error!r})') from error
  except CheckpointError as error:
    raise CheckpointError(f'{name}: {error}') from error
  if not sound:
    raise CheckpointError(f'{name}: its metadata has an impossible shape: {str(shape)[:80]}, chunks {str(chunks)[:80]}')
  return metadata


def _is_size(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_BYTES


def dtype(version: int, metadata: Mapping[str, Any]) -> DType:
  """Returns the element type as stored."""
  return dtype_named(metadata['dtype' if version == 2 else 'data_type'])


def chunk_shape(version: int, metadata: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the shape of the chunks that have a key each."""
  return tuple(metadata['chunks'] if version == 2 else metadata['chunk_grid']['configuration']['chunk_shape'])


def inner_shape(version: int, metadata: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the shape of the pieces inside a shard; that of the chunks where nothing is sharded."""
  shard = _sharding(version, metadata)
  return chunk_shape(version, metadata) if shard is None else tuple(shard['chunk_shape'])


def _sharding(version: int, metadata: Mapping[str, Any]) -> dict[str, Any] | None:
  codecs = [] if version == 2 else metadata['codecs']
  return next((codec['configuration'] for codec in codecs if codec['name'] == 'sharding_indexed'), None)


def reshaped(version: int, metadata: Mapping[str, Any], shape: Sequence[int], chunks: Sequence[int],
             inner: Sequence[int]) -> dict[str, Any]:
  """Returns the metadata with other sizes; the bytes of the chunks stay what they are."""
  changed = copy.deepcopy(dict(metadata))
  changed['shape'] = list(shape)
  if version == 2:
    changed['chunks'] = list(chunks)
    return changed
  changed['chunk_grid']['configuration']['chunk_shape'] = list(chunks)
  shard = _sharding(version, changed)
  if shard is not None:
    shard['chunk_shape'] = list(inner)
  changed.pop('dimension_names', None)
  return changed


def bytes_codecs(version: int, metadata: dict[str, Any]) -> list[dict[str, Any]]:
  """Returns the list of codecs (zarr 3) that sees single pieces, to be changed in place."""
  shard = _sharding(version, metadata)
  codecs: list[dict[str, Any]] = metadata['codecs'] if shard is None else shard['codecs']
  return codecs


def is_c_order(version: int, metadata: Mapping[str, Any]) -> bool:
  """Whether the bytes of a piece are in C order."""
  if version == 2:
    return metadata.get('order', 'C') == 'C'
  return not any(codec['name'] == 'transpose' for codec in [*metadata['codecs'], *bytes_codecs(version, dict(metadata))])


def is_raw(version: int, metadata: Mapping[str, Any]) -> bool:
  """Whether the bytes of a chunk are those of its values."""
  if version == 2:
    return metadata.get('compressor') is None and not metadata.get('filters')
  return [codec['name'] for codec in metadata['codecs']] == ['bytes']


def is_zstd(version: int, metadata: Mapping[str, Any]) -> bool:
  """Whether a chunk is one Zstandard frame of the bytes of its values."""
  if version == 2:
    compressor = metadata.get('compressor')
    return isinstance(compressor, Mapping) and compressor.get('id') == 'zstd' and not metadata.get('filters')
  return [codec['name'] for codec in metadata['codecs']] == ['bytes', 'zstd']


def stored_dtype(version: int, metadata: Mapping[str, Any]) -> DType:
  """Returns the element type with the byte order of the stored bytes, where `is_raw` or `is_zstd`."""
  kind = dtype(version, metadata)
  if version == 2:
    return kind
  endian = metadata['codecs'][0].get('configuration', {}).get('endian', 'little')
  return dataclasses.replace(kind, order='<' if endian == 'little' else '>')


def same_encoding(version: int, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
  """Whether two arrays differ in nothing but their sizes."""
  ones = (1,) * 1
  return reshaped(version, first, ones, ones, ones) == reshaped(version, second, ones, ones, ones)


def separator(version: int, metadata: Mapping[str, Any]) -> tuple[str, str]:
  """Returns (prefix, separator) of the chunk keys."""
  if version == 2:
    return '', _one_of(metadata.get('dimension_separator', '.'))
  encoding = metadata.get('chunk_key_encoding', {'name': 'default'})
  given = encoding.get('configuration', {}).get('separator')
  if encoding['name'] == 'default':
    return 'c', _one_of(given or '/')
  if encoding['name'] == 'v2':
    return '', _one_of(given or '.')
  raise CheckpointError(f'chunk key encoding {str(encoding["name"])[:40]!r} is not known')


def _one_of(text: Any) -> str:
  if text not in ('.', '/'):
    raise CheckpointError(f'chunk key separator {str(text)[:40]!r} is not known')
  return str(text)


def chunk_key(version: int, metadata: Mapping[str, Any], grid: Sequence[int]) -> str:
  """Returns the key of a chunk below the array's name."""
  return joined(*separator(version, metadata), grid)


def joined(prefix: str, between: str, grid: Sequence[int]) -> str:
  """Returns a chunk key from what `separator` gives."""
  return between.join([*([prefix] if prefix else []), *map(str, grid)]) or '0'


def grid_of(version: int, metadata: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
  """Returns the grid index of a chunk key; None if it is no key of a chunk of this array."""
  prefix, between = separator(version, metadata)
  dimensions = len(metadata['shape'])
  if not dimensions:
    return () if key == (prefix or '0') else None
  parts = key.split(between)
  if prefix and parts.pop(0) != prefix:
    return None
  if len(parts) != dimensions or not all(_NUMBER.fullmatch(part) for part in parts):
    return None
  grid = tuple(map(int, parts))
  return grid if all(at < count for at, count in zip(grid, grid_shape(version, metadata))) else None


def grid_shape(version: int, metadata: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the number of chunks along each axis."""
  return tuple(-(-size // chunk) for size, chunk in zip(metadata['shape'], chunk_shape(version, metadata)))


def new_metadata(shape: Sequence[int], dtype: DType, version: int, chunk: Sequence[int]) -> dict[str, Any]:
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


def _zero(dtype: DType) -> Any:
  if dtype.kind == 'b':
    return False
  if dtype.kind in 'iu' or dtype.name.startswith(('int', 'uint')):
    return 0
  return [0.0, 0.0] if dtype.kind == 'c' else 0.0
