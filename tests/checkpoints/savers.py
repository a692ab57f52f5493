"""Writes one tree in every layout that is read."""
from __future__ import annotations

import json
import shutil

import flax
import numpy as np
import orbax.checkpoint as ocp
import safetensors.numpy
from flax import serialization
from flax.training import checkpoints
from orbax.checkpoint.experimental import v1

STEP = 7


def pytree(path, tree, **options):
  ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options)).save(path, ocp.args.PyTreeSave(tree))
  return {'source': path}


def zarr3(path, tree):
  return pytree(path, tree, use_zarr3=True)


def folders(path, tree):
  return pytree(path, tree, use_ocdbt=False)


def folders_zarr3(path, tree):
  return pytree(path, tree, use_ocdbt=False, use_zarr3=True)


def uncompressed(path, tree):
  return pytree(path, tree, use_compression=False)


def standard(path, tree):
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, tree)
  return {'source': path}


def manager(path, tree):
  with ocp.CheckpointManager(path) as managed:
    for step in (3, STEP):
      managed.save(step, args=ocp.args.StandardSave(tree))
    managed.wait_until_finished()
  return {'source': path, 'step': str(STEP)}


def items(path, tree):
  with ocp.CheckpointManager(path) as managed:
    managed.save(STEP, args=ocp.args.Composite(
      state=ocp.args.StandardSave(tree), params=ocp.args.PyTreeSave(dict(tree)['params']), extra=ocp.args.JsonSave({'a': 1})))
    managed.wait_until_finished()
  return {'source': path, 'step': 'latest', 'item': 'state'}


def version_1(path, tree):
  v1.save_pytree(path, tree)
  return {'source': path}


def _without_metadata(path, tree, names):
  """What Orbax 0.4 and before left: the tree in a msgpack file, no list of arrays with their metadata."""
  folders(path, tree)
  for name in names:
    (path / name).unlink(missing_ok=True)
  shutil.rmtree(path / 'array_metadatas', ignore_errors=True)
  return path


def old_orbax(path, tree):
  """Of Orbax 0.1 to 0.4: the file `checkpoint` points to the arrays."""
  _without_metadata(path, tree, ['_METADATA', '_CHECKPOINT_METADATA', '_sharding', 'commit_success.txt'])
  (path / 'checkpoint').write_bytes(serialization.msgpack_serialize(marked(plain(tree), ())))
  return {'source': path}


def old_flax(path, tree):
  """Of flax.training on Orbax 0.4: every value lies in the file `checkpoint`, and `_METADATA` says so."""
  place = path / f'checkpoint_{STEP}'
  folders(place, tree)
  metadata = json.loads((place / '_METADATA').read_text())['tree_metadata']
  for entry in metadata.values():
    entry['value_metadata'] = {'value_type': entry['value_metadata']['value_type'], 'skip_deserialize': True}
  shutil.rmtree(place)
  place.mkdir()
  (place / '_METADATA').write_text(json.dumps({'tree_metadata': metadata}))
  (place / 'checkpoint').write_bytes(serialization.msgpack_serialize(plain(tree)))
  return {'source': path, 'step': str(STEP)}


def plain(tree):
  """Dicts and lists of arrays, as Orbax 0.4 kept a tree; named tuples are dicts, empty ones None."""
  if isinstance(tree, dict):
    return {name: plain(child) for name, child in tree.items()}
  if isinstance(tree, tuple) and hasattr(tree, '_fields'):
    return {name: plain(child) for name, child in zip(tree._fields, tree, strict=True)} or None
  if isinstance(tree, list | tuple):
    return [plain(child) for child in tree]
  return np.asarray(tree) if hasattr(tree, 'shape') else tree


def marked(node, path):
  """The same tree with the name of its array in each leaf's place."""
  if isinstance(node, dict):
    return {name: marked(child, (*path, name)) for name, child in node.items()}
  if isinstance(node, list):
    return [marked(child, (*path, str(position))) for position, child in enumerate(node)]
  return None if node is None else 'PLACEHOLDER://' + '.'.join(path)


def training_msgpack(path, tree):
  with flax.config.temp_flip_flag('use_orbax_checkpointing', False):
    for step in (3, STEP):
      checkpoints.save_checkpoint(path, tree, step, keep=2)
  return {'source': path, 'step': str(STEP)}


def training_orbax(path, tree):
  with flax.config.temp_flip_flag('use_orbax_checkpointing', True):
    for step in (3, STEP):
      checkpoints.save_checkpoint(path, tree, step, keep=2)
  return {'source': path, 'step': 'latest'}


def to_bytes(path, tree):
  path.write_bytes(serialization.to_bytes(tree))
  return {'source': path}


def in_pieces(path, tree):
  largest = serialization.MAX_CHUNK_SIZE
  serialization.MAX_CHUNK_SIZE = 32
  try:
    return to_bytes(path, tree)
  finally:
    serialization.MAX_CHUNK_SIZE = largest


def flat(tree):
  return {'/'.join(path): np.asarray(value) for path, value in _leaves(serialization.to_state_dict(tree), ())}


def _leaves(node, path):
  if isinstance(node, dict):
    for name, child in node.items():
      yield from _leaves(child, (*path, name))
  else:
    yield path, node


def tensors(path, tree):
  safetensors.numpy.save_file({name: np.array(value, order='C') for name, value in flat(tree).items()}, path)
  return {'source': path}


def npz(path, tree):
  with path.open('wb') as file:
    np.savez(file, **flat(tree))
  return {'source': path}


def npz_compressed(path, tree):
  with path.open('wb') as file:
    np.savez_compressed(file, **flat(tree))
  return {'source': path}


# The rows of the table in docs/checkpoints.md.
LAYOUTS = {
  'Orbax `PyTreeCheckpointer`, OCDBT, zarr 2': pytree,
  'Orbax, OCDBT, zarr 3': zarr3,
  'Orbax, one directory per array, zarr 2': folders,
  'Orbax, one directory per array, zarr 3': folders_zarr3,
  'Orbax, uncompressed': uncompressed,
  'Orbax `StandardCheckpointer`': standard,
  'Orbax `CheckpointManager`, folder of steps': manager,
  'Orbax `CheckpointManager`, several items': items,
  'Orbax v1 `save_pytree`': version_1,
  'Orbax 0.4 and before, with a `checkpoint` file': old_orbax,
  '`flax.training.checkpoints` on Orbax 0.4': old_flax,
  '`flax.training.checkpoints`, Orbax': training_orbax,
  '`flax.training.checkpoints`, msgpack': training_msgpack,
  '`flax.serialization.to_bytes`': to_bytes,
  '`flax.serialization`, arrays in pieces': in_pieces,
  'safetensors with path keys': tensors,
  'npz with path keys': npz,
  'npz, compressed': npz_compressed,
}
