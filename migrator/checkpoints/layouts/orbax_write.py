"""Writes an Orbax item: an OCDBT index over linked, copied and newly encoded bytes, and its metadata files.

The files are those that Orbax 0.12 writes; which of them must agree for a restore is in the tests.
"""
from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import zarr
from migrator.checkpoints.index.write import Place
from migrator.checkpoints.layouts import orbax_nodes
from migrator.checkpoints.storage import Stored

Names = tuple[str, ...]
_STANDARD = 'orbax.checkpoint._src.handlers.standard_checkpoint_handler.StandardCheckpointHandler'


def entries(arrays: Mapping[Names, Stored], places: Mapping[Names, Mapping[tuple[int, ...], Place]]) -> dict[str, Place]:
  """Returns the entries of the index: the metadata of each array, and where its chunks are."""
  made: dict[str, Place] = {}
  texts: dict[int, bytes] = {}
  for path, array in arrays.items():
    name = '.'.join(path)
    key = id(array.metadata)
    if key not in texts:
      texts[key] = json.dumps(array.metadata, separators=(',', ':')).encode()
    made[f'{name}/{zarr.FILES[array.version]}'] = texts[key]
    for grid, place in places[path].items():
      made[f'{name}/{zarr.chunk_key(array.version, array.metadata, grid)}'] = place
  return made


def metadata_files(arrays: Mapping[Names, Stored], nodes: orbax_nodes.Nodes, target: Path) -> dict[str, bytes]:
  """Returns {file name: content} of the files beside the index; `commit_success.txt` is last."""
  now = time.time_ns()
  version = max((array.version for array in arrays.values()), default=2)
  complete = all(len(array.chunks) == _count(array) for array in arrays.values())
  files: dict[str, Any] = {
    '_METADATA': {
      'tree_metadata': {str(path): _tree_entry(path, arrays, nodes) for path in nodes.typed},
      'use_ocdbt': True, 'use_zarr3': version == 3, 'store_array_data_equal_to_fill_value': complete,
      'custom_metadata': None},
    'array_metadatas/process_0': {'array_metadatas': [_array_entry(path, array) for path, array in arrays.items()]},
    '_CHECKPOINT_METADATA': {
      'item_handlers': _STANDARD, 'metrics': {}, 'performance_metrics': {}, 'init_timestamp_nsecs': now,
      'commit_timestamp_nsecs': now, 'custom_metadata': {}},
  }
  placed = {base64.urlsafe_b64encode('.'.join(path).encode()).decode(): array.sharding
            for path, array in arrays.items() if array.sharding is not None}
  if placed:
    files['_sharding'] = placed
  if nodes.texts():
    files[orbax_nodes.STRINGS] = nodes.texts()
  made = {name: json.dumps(content).encode() for name, content in files.items()}
  made['commit_success.txt'] = f'Checkpoint commit was successful to {target}'.encode()
  return made


def _count(array: Stored) -> int:
  count = 1
  for size in zarr.grid_shape(array.version, array.metadata):
    count *= size
  return count


def kind(array: Stored) -> str:
  """Returns Orbax's value type: a jax.Array needs a record of its devices, a NumPy array none."""
  if array.extra is not None:
    return 'jax.Array'
  return 'np.ndarray' if array.kind == 'jax.Array' and array.sharding is None else array.kind


def _tree_entry(path: Names, arrays: Mapping[Names, Stored], nodes: orbax_nodes.Nodes) -> dict[str, Any]:
  if path not in arrays:
    return {'key_metadata': nodes.keys(path), 'value_metadata': nodes.entry(path)}
  value: dict[str, Any] = {'value_type': kind(arrays[path]), 'skip_deserialize': False}
  if value['value_type'] == 'jax.Array':
    value['write_shape'] = list(arrays[path].chunk_shape)
  return {'key_metadata': nodes.keys(path), 'value_metadata': value}


def _array_entry(path: Names, array: Stored) -> dict[str, Any]:
  shape = list(array.chunk_shape)
  return {'array_metadata': {'param_name': '.'.join(path), 'write_shape': shape, 'chunk_shape': shape,
                             'ext_metadata': dict(array.extra) if array.extra is not None else None}}
