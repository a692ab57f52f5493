"""Initializers: the same under `flax.nnx.initializers`; four of them were also at Linen's top level."""

from __future__ import annotations

from rewrites.record import Example, Functions

_NAMES = (
  'Initializer',
  'constant',
  'delta_orthogonal',
  'glorot_normal',
  'glorot_uniform',
  'he_normal',
  'he_uniform',
  'kaiming_normal',
  'kaiming_uniform',
  'lecun_normal',
  'lecun_uniform',
  'normal',
  'ones',
  'ones_init',
  'orthogonal',
  'truncated_normal',
  'uniform',
  'variance_scaling',
  'xavier_normal',
  'xavier_uniform',
  'zeros',
  'zeros_init',
)
_TOP_LEVEL = ('ones', 'ones_init', 'zeros', 'zeros_init')

RECORD = Functions(
  names={
    **{f'flax.linen.initializers.{name}': f'flax.nnx.initializers.{name}' for name in _NAMES},
    **{f'flax.linen.{name}': f'flax.nnx.initializers.{name}' for name in _TOP_LEVEL},
  },
  slips={'stddev': 2.0},
  examples=(
    Example(
      'from flax import linen as nn\n\ninit = nn.initializers.normal(0.02)\n',
      'from flax import nnx\n\ninit = nnx.initializers.normal(0.02)\n',
    ),
    Example(
      'from flax import linen as nn\n\ninit = nn.zeros\n',
      'from flax import nnx\n\ninit = nnx.initializers.zeros\n',
    ),
    Example('import jax\n\ninit = jax.nn.initializers.zeros\n', None),
  ),
)
