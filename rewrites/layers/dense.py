"""nn.Dense -> nnx.Linear: the same matrix product; NNX wants the input size."""

from __future__ import annotations

from rewrites.defaults import (
  BIAS_INIT,
  DOT_GENERAL,
  DOT_GENERAL_CLS,
  KERNEL_INIT,
  PRECISION,
  PROMOTE_DTYPE,
  USE_BIAS,
  dtypes,
  same,
)
from rewrites.facts import in_features
from rewrites.programs import one_layer, other_library
from rewrites.record import Layer, Sample

RECORD = Layer(
  linen=('flax.linen.Dense',),
  nnx='flax.nnx.Linear',
  member='linear',
  arguments=(
    same('features', nnx='out_features', keyword=False),
    USE_BIAS,
    *dtypes(),
    PRECISION,
    KERNEL_INIT,
    BIAS_INIT,
    PROMOTE_DTYPE,
    DOT_GENERAL,
    DOT_GENERAL_CLS,
  ),
  sizes=(in_features(),),
  examples=(
    one_layer('nn.Dense(5)', 'nnx.Linear(in_features, 5, rngs=rngs)', 'linear'),
    one_layer(
      'nn.Dense(features=5, use_bias=False)',
      'nnx.Linear(in_features, out_features=5, use_bias=False, rngs=rngs)',
      'linear',
    ),
    other_library('Dense'),
  ),
  samples=(
    Sample('nn.Dense(5)', 'nnx.Linear(3, 5, rngs=rngs)'),
    Sample(
      'nn.Dense(5, use_bias=False)', 'nnx.Linear(3, 5, use_bias=False, rngs=rngs)', ('normal(2, 4, 3)',)
    ),
    Sample('nn.Dense(5, dtype=jnp.bfloat16)', 'nnx.Linear(3, 5, dtype=jnp.bfloat16, rngs=rngs)'),
    Sample(
      'nn.Dense(5, param_dtype=jnp.bfloat16)',
      'nnx.Linear(3, 5, param_dtype=jnp.bfloat16, rngs=rngs)',
      ('normal(3)',),
    ),
    Sample('nn.Dense(5)', 'nnx.Linear(3, 5, rngs=rngs)', ('integers(9, 4, 3)',)),
    Sample(
      'nn.Dense(5, dot_general=lambda a, b, d, precision=None: 2 * jax.lax.dot_general(a, b, d))',
      'nnx.Linear(3, 5, dot_general=without_out_sharding('
      'lambda a, b, d, precision=None: 2 * jax.lax.dot_general(a, b, d)), rngs=rngs)',
    ),
    Sample(
      'nn.Dense(5, promote_dtype=lambda *a, dtype=None, inexact=True: [v.astype(jnp.bfloat16) for v in a])',
      'nnx.Linear(3, 5, promote_dtype=tuple_promote_dtype('
      'lambda *a, dtype=None, inexact=True: [v.astype(jnp.bfloat16) for v in a]), rngs=rngs)',
    ),
  ),
)
