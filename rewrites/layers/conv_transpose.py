"""nn.ConvTranspose -> nnx.ConvTranspose: the same; NNX wants the number of input channels."""

from __future__ import annotations

from rewrites.defaults import BIAS_INIT, KERNEL_INIT, PRECISION, PROMOTE_DTYPE, USE_BIAS, dtypes, same
from rewrites.facts import in_features
from rewrites.programs import one_layer, other_library
from rewrites.record import Layer, Sample


def _sample(options: str = '', inputs: str = 'normal(2, 5, 4, 4)', size: str = '(3, 3)') -> Sample:
  more = f', {options}' if options else ''
  return Sample(
    f'nn.ConvTranspose(6, {size}{more})', f'nnx.ConvTranspose(4, 6, {size}{more}, rngs=rngs)', (inputs,)
  )


RECORD = Layer(
  linen=('flax.linen.ConvTranspose',),
  nnx='flax.nnx.ConvTranspose',
  member='conv_transpose',
  arguments=(
    same('features', nnx='out_features', keyword=False),
    same('kernel_size', keyword=False),
    same('strides', None, keyword=False),
    same('padding', 'SAME'),
    same('kernel_dilation', None),
    USE_BIAS,
    same('mask', None),
    *dtypes(),
    PRECISION,
    KERNEL_INIT,
    BIAS_INIT,
    same('transpose_kernel', False),
    PROMOTE_DTYPE,
    same('preferred_element_type', None),
  ),
  sizes=(in_features(),),
  examples=(
    one_layer(
      'nn.ConvTranspose(6, (3, 3), strides=(2, 2))',
      'nnx.ConvTranspose(in_features, 6, (3, 3), strides=(2, 2), rngs=rngs)',
      'conv_transpose',
    ),
    other_library('ConvTranspose'),
  ),
  samples=(
    _sample(),
    _sample('use_bias=False, strides=(2, 2)'),
    _sample('strides=(2, 2), transpose_kernel=True'),
    _sample("padding='VALID', strides=(2, 2)"),
    _sample('padding=1, strides=(2, 2)'),
    _sample("padding='CIRCULAR', strides=(2, 2)"),
    _sample("padding='CIRCULAR', transpose_kernel=True"),
    _sample('kernel_dilation=(2, 1), dtype=jnp.bfloat16'),
    _sample('mask=(normal(3, 3, 4, 6) > 0).astype(jnp.float32)'),
    _sample(inputs='normal(5, 4, 4)'),
  ),
)
