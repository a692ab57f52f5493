"""nn.BatchNorm -> nnx.BatchNorm: Linen wants the mode said, NNX trains unless told otherwise."""

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
from rewrites.record import Argument, CallArgument, Layer, Sample, Size

_TRAIN, _EVAL = 'use_running_average=False', 'use_running_average=True'


def _sample(call: str, options: str = '', size: int = 8, nnx_options: str = '') -> Sample:
  linen, nnx = options, ', '.join(part for part in (options, nnx_options) if part)
  return Sample(
    f'nn.BatchNorm({linen})',
    f'nnx.BatchNorm({size}{", " if nnx else ""}{nnx}, rngs=rngs)',
    ('3 * normal(3, 5, 8) + 1',),
    call,
    call,
    collections=('batch_stats',) if _TRAIN in call else (),
  )


RECORD = Layer(
  linen=('flax.linen.BatchNorm',),
  nnx='flax.nnx.BatchNorm',
  member='batch_norm',
  arguments=(
    Argument('use_running_average', 'use_running_average', None, False, on_call='use_running_average'),
    same('axis', -1),
    same('momentum', 0.99, slip=0.9),
    same('epsilon', 1e-5, slip=10.0),
    *dtypes(),
    USE_BIAS,
    USE_SCALE,
    BIAS_INIT,
    SCALE_INIT,
    same('axis_name', None),
    same('axis_index_groups', None),
    FAST_VARIANCE,
    FORCE_FLOAT32,
  ),
  sizes=(Size('num_features', axis_of('x', 'axis', -1)),),
  call=(
    CallArgument('x', 'x'),
    CallArgument('use_running_average', 'use_running_average'),
    CallArgument('mask', 'mask', keyword=True),
  ),
  refuse=one_axis('axis', 'BatchNorm'),
  collections=('params', 'batch_stats'),
  exact_helper={'promote_dtype': PLAIN_PROMOTE},
  exact_when=half_or_unknown,
  notes='Linen refuses the flag in both places, in NNX the one at the call wins.',
  examples=(
    one_layer(
      'nn.BatchNorm(use_running_average=not train)',
      'nnx.BatchNorm(in_features, rngs=rngs)',
      'batch_norm',
      call='x, train: bool',
      given='x',
      given_after='x, use_running_average=not train',
    ),
    other_library('BatchNorm'),
  ),
  samples=(
    _sample(_EVAL),
    _sample(_TRAIN),
    _sample(_TRAIN, 'momentum=0.9, epsilon=1e-3'),
    _sample(_TRAIN, 'axis=1', 5),
    _sample(_TRAIN, 'axis=(-1,)'),
    _sample(_TRAIN, 'use_scale=False, use_bias=False'),
    _sample(_TRAIN + ', mask=normal(3, 5, 8) > -0.5'),
    _sample(_TRAIN, 'use_fast_variance=False'),
    _sample(_TRAIN, 'param_dtype=jnp.bfloat16'),
    _sample(_TRAIN, 'dtype=jnp.bfloat16', nnx_options='promote_dtype=plain_promote'),
    _sample(_EVAL, 'dtype=jnp.bfloat16', nnx_options='promote_dtype=plain_promote'),
  ),
)
