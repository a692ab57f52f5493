"""nn.RMSNorm -> nnx.RMSNorm: the same norm over one feature axis."""

from __future__ import annotations

from rewrites.adapters import PLAIN_PROMOTE
from rewrites.defaults import FAST_VARIANCE, FORCE_FLOAT32, SCALE_INIT, USE_SCALE, dtypes, same
from rewrites.facts import axis_of, half_or_unknown, one_axis
from rewrites.programs import one_layer, other_library
from rewrites.record import CallArgument, Layer, Sample, Size


def _sample(options: str = '', nnx_options: str = '', call: str = '') -> Sample:
  nnx = ', '.join(part for part in ('8', options, nnx_options, 'rngs=rngs') if part)
  return Sample(f'nn.RMSNorm({options})', f'nnx.RMSNorm({nnx})', ('3 * normal(3, 5, 8) + 1',), call, call)


RECORD = Layer(
  linen=('flax.linen.RMSNorm',),
  nnx='flax.nnx.RMSNorm',
  member='rms_norm',
  arguments=(
    same('epsilon', 1e-6, slip=10.0),
    *dtypes(),
    USE_SCALE,
    SCALE_INIT,
    same('reduction_axes', -1),
    same('feature_axes', -1),
    same('axis_name', None),
    same('axis_index_groups', None),
    FAST_VARIANCE,
    FORCE_FLOAT32,
  ),
  sizes=(Size('num_features', axis_of('x', 'feature_axes', -1)),),
  call=(CallArgument('x', 'x'), CallArgument('mask', 'mask')),
  refuse=one_axis('feature_axes', 'RMSNorm'),
  exact_helper={'promote_dtype': PLAIN_PROMOTE},
  exact_when=half_or_unknown,
  examples=(
    one_layer('nn.RMSNorm()', 'nnx.RMSNorm(in_features, rngs=rngs)', 'rms_norm'),
    other_library('RMSNorm'),
  ),
  samples=(
    _sample(),
    _sample('use_scale=False'),
    _sample('epsilon=1e-3, reduction_axes=(1, 2)'),
    _sample(call='mask=normal(3, 5, 8) > -0.5'),
    _sample('dtype=jnp.bfloat16', 'promote_dtype=plain_promote'),
  ),
)
