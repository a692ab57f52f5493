"""Pooling functions: the same objects under `flax.nnx`."""

from __future__ import annotations

from rewrites.record import Example, Functions

RECORD = Functions(
  names={
    'flax.linen.avg_pool': 'flax.nnx.avg_pool',
    'flax.linen.max_pool': 'flax.nnx.max_pool',
    'flax.linen.pool': 'flax.nnx.pool',
    'flax.linen.pooling.min_pool': 'flax.nnx.min_pool',
  },
  examples=(
    Example(
      'from flax import linen as nn\n\n\ndef pool(x):\n  return nn.max_pool(x, (2, 2), strides=(2, 2))\n',
      'from flax import nnx\n\n\ndef pool(x):\n  return nnx.max_pool(x, (2, 2), strides=(2, 2))\n',
    ),
    Example('from library import max_pool\n\npool = max_pool\n', None),
  ),
)
