"""nn.Conv -> nnx.Conv: the same convolution; NNX wants the number of input channels."""

from __future__ import annotations

from rewrites.defaults import (
  BIAS_INIT,
  KERNEL_INIT,
  NO_CLASS_FACTORY,
  PRECISION,
  PROMOTE_DTYPE,
  USE_BIAS,
  dtypes,
  gone,
  out_sharding,
  same,
)
from rewrites.facts import in_features
from rewrites.programs import one_layer, other_library
from rewrites.record import Layer, Sample, Source


def _sample(
  options: str = '', inputs: str = 'normal(2, 7, 6, 4)', size: str = '(3, 3)', features: int = 6
) -> Sample:
  more = f', {options}' if options else ''
  return Sample(
    f'nn.Conv({features}, {size}{more})', f'nnx.Conv(4, {features}, {size}{more}, rngs=rngs)', (inputs,)
  )


RECORD = Layer(
  linen=('flax.linen.Conv',),
  nnx='flax.nnx.Conv',
  member='conv',
  arguments=(
    same('features', nnx='out_features', keyword=False),
    same('kernel_size', keyword=False),
    same('strides', 1, keyword=False),
    same('padding', 'SAME'),
    same('input_dilation', 1),
    same('kernel_dilation', 1),
    same('feature_group_count', 1),
    USE_BIAS,
    same('mask', None),
    *dtypes(),
    PRECISION,
    KERNEL_INIT,
    BIAS_INIT,
    PROMOTE_DTYPE,
    out_sharding('conv_general_dilated', Source('jax.lax.conv_general_dilated')),
    gone('conv_general_dilated_cls', None, NO_CLASS_FACTORY),
  ),
  sizes=(in_features(),),
  examples=(
    one_layer('nn.Conv(6, (3, 3))', 'nnx.Conv(in_features, 6, (3, 3), rngs=rngs)', 'conv'),
    one_layer(
      "nn.Conv(6, (3, 3), 2, 'VALID')",
      "nnx.Conv(in_features, 6, (3, 3), 2, padding='VALID', rngs=rngs)",
      'conv',
    ),
    other_library('Conv'),
  ),
  samples=(
    _sample(),
    _sample('use_bias=False, strides=2'),
    _sample("strides=(2, 1), padding='VALID'"),
    _sample("padding='CIRCULAR', strides=2, kernel_dilation=2"),
    _sample("padding='REFLECT'"),
    _sample('padding=((0, 2), (1, 0))'),
    _sample('input_dilation=(1, 2), padding=1'),
    _sample('feature_group_count=2'),
    _sample('feature_group_count=4', features=8),
    _sample('dtype=jnp.bfloat16'),
    _sample('mask=(normal(3, 3, 4, 6) > 0).astype(jnp.float32)'),
    _sample(inputs='normal(2, 7, 4)', size='3'),
    _sample("padding='CAUSAL', kernel_dilation=2", 'normal(2, 7, 4)', '(3,)'),
    _sample(inputs='normal(2, 4, 5, 3, 4)', size='(2, 3, 2)'),
    _sample(inputs='normal(7, 6, 4)'),
    _sample(inputs='normal(2, 3, 7, 6, 4)'),
  ),
)
