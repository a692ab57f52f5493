"""Small trees saved in every Orbax layout, and what Orbax itself restores from a folder."""
from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp

LAYOUTS = {
  'ocdbt-zarr2': {'use_ocdbt': True, 'use_zarr3': False},
  'ocdbt-zarr3': {'use_ocdbt': True, 'use_zarr3': True},
  'directories-zarr2': {'use_ocdbt': False, 'use_zarr3': False},
  'directories-zarr3': {'use_ocdbt': False, 'use_zarr3': True},
}


def tree():
  """Leaves of many types; the layers are large enough not to lie in the index."""
  random = np.random.default_rng(0)
  layer = lambda: {'kernel': jnp.asarray(random.normal(size=(24, 40)), jnp.bfloat16),
                   'cube': jnp.asarray(random.normal(size=(6, 10, 14)), jnp.float32),
                   'bias': jnp.asarray(random.normal(size=40), jnp.float32)}
  return {
    'params': {f'layers_{number}': layer() for number in range(3)},
    'opt_state': [{'count': jnp.asarray(7, jnp.int32), 'mu': jnp.arange(600.0).reshape(20, 30)}, None, {}],
    'eighth': jnp.ones((4, 5), jnp.float8_e4m3fn), 'half': np.arange(900, dtype=np.float16), 'int4': jnp.ones(3, jnp.int4),
    'complex': jnp.asarray([1 + 2j, 3]), 'step': 5, 'rate': 0.5, 'flags': np.array([True, False]),
    'zeros': jnp.zeros((30, 30)),
  }


def save(path, content, compressed=True, **layout):
  handler = ocp.PyTreeCheckpointHandler(use_compression=compressed, **(layout or LAYOUTS['ocdbt-zarr2']))
  with ocp.Checkpointer(handler) as checkpointer:
    checkpointer.save(path, ocp.args.PyTreeSave(content))
  return path


def restored(path):
  """Returns {path: NumPy array} as Orbax reads it, on whatever device."""
  with warnings.catch_warnings(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
    warnings.simplefilter('ignore')
    metadata = checkpointer.metadata(path).item_metadata.tree
    arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata)
    return flat(checkpointer.restore(path, ocp.args.PyTreeRestore(restore_args=arguments)))


def flat(content):
  return {tuple(str(getattr(key, 'key', getattr(key, 'idx', None))) for key in path): np.asarray(value)
          for path, value in jax.tree_util.tree_leaves_with_path(content)}


def assert_same(found, wanted):
  assert found.keys() == wanted.keys()
  for path, value in wanted.items():
    assert_equal(found[path], value, path)


def assert_equal(found, wanted, name=''):
  """Bit for bit, type and shape too."""
  found, wanted = np.asarray(found), np.asarray(wanted)
  assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), name
  assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(wanted).tobytes(), name


BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
