"""nn.InstanceNorm -> nnx.InstanceNorm: the same norm over one feature axis."""

from __future__ import annotations

from rewrites.adapters import PLAIN_PROMOTE
from rewrites.defaults import (
  BIAS_INIT,
  FAST_VARIANCE,
  FORCE_FLOAT32,
  SCALE_INIT,
  USE_BIAS,
  USE_SCALE,
  dtypes,
  same,
)
from rewrites.facts import axis_of, half_or_unknown, one_axis
from rewrites.programs import one_layer, other_library
from rewrites.record import CallArgument, Layer, Sample, Size


def _sample(options: str = '', size: int = 8, nnx_options: str = '', call: str = '') -> Sample:
  nnx = ', '.join(part for part in (str(size), options, nnx_options, 'rngs=rngs') if part)
  return Sample(
    f'nn.InstanceNorm({options})', f'nnx.InstanceNorm({nnx})', ('3 * normal(3, 5, 8) + 1',), call, call
  )


RECORD = Layer(
  linen=('flax.linen.InstanceNorm',),
  nnx='flax.nnx.InstanceNorm',
  member='instance_norm',
  arguments=(
    same('epsilon', 1e-6, slip=10.0),
    *dtypes(),
    USE_BIAS,
    USE_SCALE,
    BIAS_INIT,
    SCALE_INIT,
    same('feature_axes', -1),
    same('axis_name', None),
    same('axis_index_groups', None),
    FAST_VARIANCE,
    FORCE_FLOAT32,
  ),
  sizes=(Size('num_features', axis_of('x', 'feature_axes', -1)),),
  call=(CallArgument('x', 'x'), CallArgument('mask', 'mask', keyword=True)),
  refuse=one_axis('feature_axes', 'InstanceNorm'),
  exact_helper={'promote_dtype': PLAIN_PROMOTE},
  exact_when=half_or_unknown,
  examples=(
    one_layer('nn.InstanceNorm()', 'nnx.InstanceNorm(in_features, rngs=rngs)', 'instance_norm'),
    other_library('InstanceNorm'),
  ),
  samples=(
    _sample(),
    _sample('use_bias=False'),
    _sample('feature_axes=1', 5),
    _sample(call='mask=normal(3, 5, 8) > -0.5'),
    _sample('dtype=jnp.bfloat16', nnx_options='promote_dtype=plain_promote'),
  ),
)
