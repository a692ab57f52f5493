"""Writes the Linen TrainState of a decoder: bfloat16 weights, AdamW with bfloat16 and float32 statistics.

As a program: state.py SIZE LAYOUT FOLDER.
"""
from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Size:
  """Of a decoder."""

  layers: int
  width: int
  heads: int
  head: int
  hidden: int
  vocabulary: int


SIZES = {
  'tiny': Size(4, 64, 4, 16, 128, 256),
  '2g': Size(24, 896, 14, 64, 2432, 16384),
  '6g': Size(32, 1408, 22, 64, 3584, 16384),
}
LAYOUTS = {
  'ocdbt': {'use_ocdbt': True, 'use_zarr3': False},
  'ocdbt-zarr3': {'use_ocdbt': True, 'use_zarr3': True},
  'directories': {'use_ocdbt': False, 'use_zarr3': False},
  'msgpack': None,
}


def shapes(size: Size) -> dict[str, Any]:
  """Returns the parameters' shapes as Linen nests them."""
  heads = (size.width, size.heads, size.head)
  layer = {
    'pre_norm': {'scale': (size.width,)}, 'post_norm': {'scale': (size.width,)},
    'attention': {**{name: {'kernel': heads} for name in ('query', 'key', 'value')},
                  'out': {'kernel': (size.heads, size.head, size.width)}},
    'mlp': {'gate': {'kernel': (size.width, size.hidden)}, 'up': {'kernel': (size.width, size.hidden)},
            'down': {'kernel': (size.hidden, size.width)}}}
  return {'embed': {'embedding': (size.vocabulary, size.width)}, 'norm': {'scale': (size.width,)},
          **{f'layers_{number}': layer for number in range(size.layers)}}


def manifest() -> Any:
  """Returns what a migration of this decoder writes."""
  from migrator.manifest import ClassMap, Leaf, Loop, Manifest, Member, Submodule

  def entry(name: str, *members: Member) -> ClassMap:
    return ClassMap(name, 'decoder.py', 1, 'native', (), (), (), (), members)

  def child(name: str, kind: str) -> Submodule:
    return Submodule((name,), None, (name,), kind)

  layers = Submodule(('layers_{}',), None, ('layers', '*'), 'decoder:Layer')
  entries = [
    *(entry(f'decoder:{name}', Leaf(leaf, 'params', (leaf,)))
      for name, leaf in (('Norm', 'scale'), ('Dense', 'kernel'), ('Embed', 'embedding'))),
    entry('decoder:Attention', *(child(name, 'decoder:Dense') for name in ('query', 'key', 'value', 'out'))),
    entry('decoder:Mlp', *(child(name, 'decoder:Dense') for name in ('gate', 'up', 'down'))),
    entry('decoder:Layer', child('pre_norm', 'decoder:Norm'), child('attention', 'decoder:Attention'),
          child('post_norm', 'decoder:Norm'), child('mlp', 'decoder:Mlp')),
    entry('decoder:Decoder', child('embed', 'decoder:Embed'), Loop((layers,)), child('norm', 'decoder:Norm'))]
  return Manifest({item.name: item for item in entries})


def write(size: Size, layout: str, folder: Path) -> None:
  """Writes the checkpoint; values are random, so that they compress as weights do."""
  import jax
  import jax.numpy as jnp
  import ml_dtypes
  import numpy as np
  import optax
  from flax.training.train_state import TrainState

  random = np.random.default_rng(0)
  pool = random.standard_normal(1 << 24, dtype=np.float32)

  def filled(shape: tuple[int, ...], dtype: Any, change: Callable[[Any], Any]) -> Any:
    made = np.empty(int(np.prod(shape)), dtype)
    for start in range(0, made.size, pool.size):
      part = made[start:start + pool.size]
      part[:] = change(np.roll(pool[:part.size], int(random.integers(pool.size)))).astype(dtype)
    return made.reshape(shape) if layout == 'msgpack' else jnp.asarray(made.reshape(shape))

  def of(dtype: Any, change: Callable[[Any], Any]) -> Any:
    return jax.tree.map(lambda shape: filled(shape, dtype, change), {'params': shapes(size)},
                        is_leaf=lambda node: isinstance(node, tuple))

  moments = optax.ScaleByAdamState(jnp.asarray(1000, jnp.int32), of(ml_dtypes.bfloat16, lambda x: x * 1e-3),
                                   of(np.float32, lambda x: x * x * 1e-6))
  state = TrainState(step=1000, apply_fn=None, tx=None, params=of(ml_dtypes.bfloat16, lambda x: x * 0.02),  # type: ignore[arg-type]
                     opt_state=(moments, optax.EmptyState(), optax.EmptyState()))
  chosen = LAYOUTS[layout]
  if chosen is None:
    from flax import serialization
    folder.write_bytes(serialization.to_bytes(state))
    return
  import orbax.checkpoint as ocp
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(save_concurrent_gb=1, **chosen)) as checkpointer:
    checkpointer.save(folder, ocp.args.PyTreeSave(state))


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  write(SIZES[sys.argv[1]], sys.argv[2], Path(sys.argv[3]))
