"""nn.DenseGeneral -> nnx.LinearGeneral: contraction over any axes; the sizes follow the sorted axes."""

from __future__ import annotations

from typing import Any

from rewrites.adapters import WITHOUT_OUT_SHARDING
from rewrites.defaults import (
  BIAS_INIT,
  DOT_GENERAL_CLS,
  KERNEL_INIT,
  PRECISION,
  PROMOTE_DTYPE,
  USE_BIAS,
  dtypes,
  same,
)
from rewrites.facts import literal, positive, shape
from rewrites.programs import one_layer, other_library
from rewrites.record import Argument, Facts, Layer, Sample, Size


def _in_features(facts: Facts) -> Any:
  """Sizes of the contracted axes, in increasing axis order whatever order the source has."""
  dims = shape(facts, 'inputs')
  picked = tuple(dims[axis] for axis in sorted(positive(literal(facts, 'axis', -1), len(dims))))
  return picked[0] if len(picked) == 1 else picked


def _batch_axis(facts: Facts) -> dict[int, Any] | None:
  batch_dims = literal(facts, 'batch_dims', ())
  if batch_dims == () or batch_dims == []:
    return None
  dims = shape(facts, 'inputs')
  return {axis: dims[axis] for axis in positive(batch_dims, len(dims))}


RECORD = Layer(
  linen=('flax.linen.DenseGeneral',),
  nnx='flax.nnx.LinearGeneral',
  member='linear_general',
  arguments=(
    same('features', nnx='out_features', keyword=False),
    same('axis', -1),
    Argument('batch_dims', None, ()),  # said by the size batch_axis
    USE_BIAS,
    *dtypes(),
    KERNEL_INIT,
    BIAS_INIT,
    PRECISION,
    PROMOTE_DTYPE,
    same(
      'dot_general',
      None,
      wrap=WITHOUT_OUT_SHARDING,
      unsupported='NNX calls dot_general with an extra keyword, out_sharding',
    ),
    DOT_GENERAL_CLS,
  ),
  sizes=(Size('in_features', _in_features), Size('batch_axis', _batch_axis, keyword=True)),
  examples=(
    one_layer(
      'nn.DenseGeneral((2, 5))', 'nnx.LinearGeneral(in_features, (2, 5), rngs=rngs)', 'linear_general'
    ),
    other_library('DenseGeneral'),
  ),
  samples=(
    Sample('nn.DenseGeneral(5)', 'nnx.LinearGeneral(3, 5, rngs=rngs)'),
    Sample('nn.DenseGeneral((2, 5))', 'nnx.LinearGeneral(3, (2, 5), rngs=rngs)'),
    Sample(
      'nn.DenseGeneral(5, axis=(-2, -1))',
      'nnx.LinearGeneral((2, 3), 5, axis=(-2, -1), rngs=rngs)',
      ('normal(4, 2, 3)',),
    ),
    Sample(
      'nn.DenseGeneral(5, axis=(-1, 1), use_bias=False)',
      'nnx.LinearGeneral((2, 3), 5, axis=(-1, 1), use_bias=False, rngs=rngs)',
      ('normal(4, 2, 6, 3)',),
    ),
    Sample(
      'nn.DenseGeneral(5, batch_dims=(0,))',
      'nnx.LinearGeneral(3, 5, batch_axis={0: 4}, rngs=rngs)',
      ('normal(4, 2, 3)',),
    ),
    Sample(
      'nn.DenseGeneral((5, 2), batch_dims=(0, 1))',
      'nnx.LinearGeneral(3, (5, 2), batch_axis={0: 4, 1: 2}, rngs=rngs)',
      ('normal(4, 2, 6, 3)',),
    ),
    Sample(
      'nn.DenseGeneral((5, 2), axis=(-2, -1), dtype=jnp.bfloat16)',
      'nnx.LinearGeneral((2, 3), (5, 2), axis=(-2, -1), dtype=jnp.bfloat16, rngs=rngs)',
      ('normal(4, 2, 3)',),
    ),
  ),
)
