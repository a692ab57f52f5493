"""nn.GroupNorm -> nnx.GroupNorm: the same norm when all axes but the batch axis are reduced."""

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
from rewrites.facts import half_or_unknown, last_of, literal, positive, shape
from rewrites.programs import one_layer, other_library
from rewrites.record import CallArgument, Facts, Layer, NotDerivable, Sample, Size

_PARTIAL = 'NNX repeats the statistics along axis 1 and gives wrong numbers'


def _refuse(facts: Facts) -> str | None:
  """NNX is right only for Linen's default: every axis except the first."""
  try:
    reduced = literal(facts, 'reduction_axes')
    if reduced is None:
      return None
    rank = len(shape(facts, 'x'))
    partial = set(positive(reduced, rank)) != set(range(1, rank))
  except NotDerivable as unknown:
    return f'reduction_axes may leave out an axis ({unknown}); {_PARTIAL} there'
  return f'reduction_axes={reduced} leaves out an axis; {_PARTIAL} there' if partial else None


def _sample(
  options: str = '', inputs: str = '3 * normal(3, 5, 8) + 1', nnx_options: str = '', call: str = ''
) -> Sample:
  nnx = ', '.join(part for part in ('8', options, nnx_options, 'rngs=rngs') if part)
  return Sample(f'nn.GroupNorm({options})', f'nnx.GroupNorm({nnx})', (inputs,), call, call)


RECORD = Layer(
  linen=('flax.linen.GroupNorm',),
  nnx='flax.nnx.GroupNorm',
  member='group_norm',
  arguments=(
    same('num_groups', 32, keyword=False),
    same('group_size', None, keyword=False),
    same('epsilon', 1e-6, slip=10.0),
    *dtypes(),
    USE_BIAS,
    USE_SCALE,
    BIAS_INIT,
    SCALE_INIT,
    same('reduction_axes', None),
    same('axis_name', None),
    same('axis_index_groups', None),
    FAST_VARIANCE,
    FORCE_FLOAT32,
  ),
  sizes=(Size('num_features', last_of('x')),),
  call=(CallArgument('x', 'x'), CallArgument('mask', 'mask', keyword=True)),
  refuse=_refuse,
  exact_helper={'promote_dtype': PLAIN_PROMOTE},
  exact_when=half_or_unknown,
  examples=(
    one_layer('nn.GroupNorm(4)', 'nnx.GroupNorm(in_features, 4, rngs=rngs)', 'group_norm'),
    other_library('GroupNorm'),
  ),
  samples=(
    _sample('num_groups=4'),
    _sample('num_groups=None, group_size=4'),
    _sample('num_groups=2, use_scale=False'),
    _sample('num_groups=4', 'normal(2, 4, 5, 8)'),
    _sample('num_groups=4', 'normal(6, 8)'),
    _sample('num_groups=4, reduction_axes=(1, -1)'),
    _sample('num_groups=4', call='mask=normal(3, 5, 8) > -0.5'),
    _sample('num_groups=4, dtype=jnp.bfloat16', nnx_options='promote_dtype=plain_promote'),
  ),
)
