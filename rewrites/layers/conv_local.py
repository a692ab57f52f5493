"""nn.ConvLocal -> a helper class: NNX has no convolution with a kernel of its own at every place."""

from __future__ import annotations

from typing import Any

from rewrites.defaults import (
  BIAS_INIT,
  KERNEL_INIT,
  NO_CLASS_FACTORY,
  PRECISION,
  USE_BIAS,
  dtypes,
  gone,
  same,
)
from rewrites.facts import in_features, literal, shape
from rewrites.programs import one_layer, other_library
from rewrites.record import Facts, Helper, Layer, NotDerivable, Sample, Size

_HELPER = Helper(
  'ConvLocal',
  '''\
class ConvLocal(nnx.Module):
  """Convolution that does not share its kernel between places (a locally connected layer).

  The number of places follows from the spatial shape of the input, which is therefore wanted here.

  Args:
    in_features: channels of the input.
    input_shape: spatial shape of the input.
    out_features: channels of the result.
    kernel_size: an int (one spatial axis) or one int per spatial axis.
    strides, input_dilation, kernel_dilation: an int or one int per spatial axis.
    padding: 'SAME', 'VALID', 'CIRCULAR', 'REFLECT', 'CAUSAL' (one spatial axis), an int, or one int or
      pair per spatial axis.
    use_bias: whether to add a bias, one per place and channel.
    mask: array that multiplies the kernel, of the kernel's shape.
    dtype: dtype of the computation; None infers it.
    param_dtype: dtype of the parameters.
    precision, kernel_init, bias_init: as in nnx.Conv.
    rngs: random streams; `params` is used.
  """

  def __init__(
      self, in_features, input_shape, out_features, kernel_size, strides=1, *, padding='SAME',
      input_dilation=1, kernel_dilation=1, use_bias=True, mask=None, dtype=None, param_dtype=jnp.float32,
      precision=None, kernel_init=nnx.initializers.lecun_normal(),
      bias_init=nnx.initializers.zeros_init(), rngs):
    self.kernel_size = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
    self.strides = self._per_axis(strides)
    self.input_dilation = self._per_axis(input_dilation)
    self.kernel_dilation = self._per_axis(kernel_dilation)
    self.padding = padding
    self.dtype = dtype
    self.precision = precision
    self.mask = mask
    places = self._places((1, *input_shape, in_features), out_features)
    width = in_features * math.prod(self.kernel_size)
    self.kernel = nnx.Param(kernel_init(rngs.params(), (*places, width, out_features), param_dtype))
    bias_shape = (*places, out_features)
    self.bias = nnx.Param(bias_init(rngs.params(), bias_shape, param_dtype)) if use_bias else None

  def __call__(self, inputs):
    """Returns (batch..., places..., out_features) for inputs (batch..., spatial..., in_features)."""
    batch = inputs.shape[:-len(self.kernel_size) - 1]
    inputs = inputs.reshape((-1, *inputs.shape[len(batch):]))
    kernel = self.kernel[...] if self.mask is None else self.kernel[...] * self.mask
    bias = None if self.bias is None else self.bias[...]
    inputs, kernel, bias = nnx.nn.dtypes.promote_dtype((inputs, kernel, bias), dtype=self.dtype)
    inputs, padding = self._padded(inputs)
    result = jax.lax.conv_general_dilated_local(
        inputs, kernel, self.strides, padding, self.kernel_size, lhs_dilation=self.input_dilation,
        rhs_dilation=self.kernel_dilation, dimension_numbers=self._dimensions(inputs.ndim),
        precision=self.precision)
    if bias is not None:
      result += bias[None]
    return result.reshape((*batch, *result.shape[1:]))

  def _per_axis(self, value):
    value = 1 if value is None else value
    return (value,) * len(self.kernel_size) if isinstance(value, int) else tuple(value)

  def _dimensions(self, rank):
    channels_last = (0, rank - 1, *range(1, rank - 1))
    return jax.lax.ConvDimensionNumbers(channels_last, (rank - 1, rank - 2, *range(rank - 2)), channels_last)

  def _padded(self, inputs):
    """Returns the padded input and the padding left to the convolution."""
    if self.padding in ('CIRCULAR', 'REFLECT'):
      wide = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.kernel_dilation)]
      pads = [(0, 0), *(((k - 1) // 2, k // 2) for k in wide), (0, 0)]
      return jnp.pad(inputs, pads, mode='wrap' if self.padding == 'CIRCULAR' else 'reflect'), 'VALID'
    if self.padding == 'CAUSAL':
      if len(self.kernel_size) != 1:
        raise ValueError('causal padding needs exactly one spatial axis')
      before = self.kernel_dilation[0] * (self.kernel_size[0] - 1)
      return jnp.pad(inputs, [(0, 0), (before, 0), (0, 0)]), 'VALID'
    if isinstance(self.padding, str):
      return inputs, self.padding
    return inputs, [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in (
        (self.padding,) * len(self.kernel_size) if isinstance(self.padding, int) else self.padding)]

  def _places(self, shape, out_features):
    """Returns the spatial shape of the result, that of a usual convolution."""
    def convolve(inputs, kernel):
      inputs, padding = self._padded(inputs)
      return jax.lax.conv_general_dilated(
          inputs, kernel, self.strides, padding, self.input_dilation, self.kernel_dilation,
          self._dimensions(inputs.ndim))

    kernel = jax.ShapeDtypeStruct((*self.kernel_size, shape[-1], out_features), jnp.float32)
    return jax.eval_shape(convolve, jax.ShapeDtypeStruct(shape, jnp.float32), kernel).shape[1:-1]
''',
  imports=('import math', 'from flax import nnx', 'import jax', 'import jax.numpy as jnp'),
)


def _input_shape(facts: Facts) -> tuple[Any, ...]:
  size = literal(facts, 'kernel_size')
  if size is None:
    raise NotDerivable('kernel_size is not given; the number of spatial axes follows from it')
  rank = 1 if isinstance(size, int) else len(size)
  return shape(facts, 'inputs')[-1 - rank : -1]


def _sample(
  options: str = '', inputs: str = 'normal(2, 7, 6, 4)', size: str = '(3, 3)', places: str = '(7, 6)'
) -> Sample:
  return Sample(
    f'nn.ConvLocal(5, {size}{options})', f'ConvLocal(4, {places}, 5, {size}{options}, rngs=rngs)', (inputs,)
  )


RECORD = Layer(
  linen=('flax.linen.ConvLocal',),
  nnx='ConvLocal',
  member='conv_local',
  arguments=(
    same('features', nnx='out_features', keyword=False),
    same('kernel_size', keyword=False),
    same('strides', 1, keyword=False),
    same('padding', 'SAME'),
    same('input_dilation', 1),
    same('kernel_dilation', 1),
    gone('feature_group_count', 1, 'a locally connected layer has no groups'),
    USE_BIAS,
    same('mask', None),
    *dtypes(),
    PRECISION,
    KERNEL_INIT,
    BIAS_INIT,
    gone('promote_dtype', None, 'the helper class promotes as Flax does'),
    gone('conv_general_dilated', None, 'the helper class has its own operator'),
    gone('conv_general_dilated_cls', None, NO_CLASS_FACTORY),
  ),
  sizes=(in_features(), Size('input_shape', _input_shape)),
  helper=_HELPER,
  examples=(
    one_layer(
      'nn.ConvLocal(5, (3,))',
      'ConvLocal(x_shape[-1], (x_shape[1],), 5, (3,), rngs=rngs)',
      'conv_local',
      parameters='*, x_shape: Sequence[int], ',
    ),
    other_library('ConvLocal'),
  ),
  samples=(
    _sample(),
    _sample(", strides=2, padding='VALID', use_bias=False", 'normal(2, 7, 4)', '3', '(7,)'),
    _sample(", padding='CAUSAL', kernel_dilation=2", 'normal(2, 7, 4)', '(3,)', '(7,)'),
    _sample(", padding='CIRCULAR', strides=(2, 1)"),
    _sample(', padding=((0, 2), (1, 0)), dtype=jnp.bfloat16'),
    _sample(inputs='normal(7, 6, 4)'),
  ),
)
