"""nn.ConvLSTMCell -> a helper class: NNX has no convolutional LSTM."""

from __future__ import annotations

from rewrites.cells import CALL, IN_FEATURES, NOTES, carry_init
from rewrites.defaults import USE_BIAS, ZEROS, dtypes, same
from rewrites.programs import one_layer, other_library
from rewrites.record import Helper, Layer, Sample

_HELPER = Helper(
  'ConvLSTMCell',
  '''\
class ConvLSTMCell(nnx.RNNCellBase):
  """LSTM cell whose gates are convolutions, in the order i, g, f, o; one is added to the forget gate.

  Args:
    in_features: channels of the inputs.
    out_features: channels of the carry.
    kernel_size, strides, padding, use_bias: as in nnx.Conv, for both convolutions.
    dtype: dtype of the computation; None infers it.
    param_dtype: dtype of the parameters.
    carry_init: initializer of both parts of the carry.
    rngs: random streams; `params` is used.
  """

  def __init__(
      self, in_features, out_features, kernel_size, *, strides=None, padding='SAME', use_bias=True,
      dtype=None, param_dtype=jnp.float32, carry_init=nnx.initializers.zeros_init(), rngs):
    self.in_features = in_features
    self.out_features = out_features
    self.kernel_size = tuple(kernel_size)
    self.param_dtype = param_dtype
    self.carry_init = carry_init
    options = dict(
        strides=strides, padding=padding, use_bias=use_bias, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
    self.ih = nnx.Conv(in_features, 4 * out_features, self.kernel_size, **options)
    self.hh = nnx.Conv(out_features, 4 * out_features, self.kernel_size, **options)

  def __call__(self, carry, inputs):
    """Takes one step: carry is (c, h), both (batch..., spatial..., out); returns (carry, h)."""
    c, h = carry
    i, g, f, o = jnp.split(self.ih(inputs) + self.hh(h), 4, axis=-1)
    c = nnx.sigmoid(f + 1) * c + nnx.sigmoid(i) * jnp.tanh(g)
    h = nnx.sigmoid(o) * jnp.tanh(c)
    return (c, h), h

  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    """Returns the first carry for inputs of `input_shape`; zeros unless an initializer says otherwise."""
    init = self.carry_init if carry_init is None else carry_init
    shape = (*input_shape[:-1], self.out_features)
    keys = jax.random.split(
        jax.random.key(0) if rngs is None else rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs())
    return init(keys[0], shape, self.param_dtype), init(keys[1], shape, self.param_dtype)

  @property
  def num_feature_axes(self):
    return len(self.kernel_size) + 1
''',
)


def _sample(options: str = '', rank: int = 2) -> Sample:
  spatial, size = ('5, 4', '(3, 3)') if rank == 2 else ('5', '(3,)')
  carry = f'(normal(2, {spatial}, 6, seed=8), normal(2, {spatial}, 6, seed=9))'
  return Sample(
    f'nn.ConvLSTMCell(6, {size}{options})',
    f'ConvLSTMCell(4, 6, {size}{options}, rngs=rngs)',
    (carry, f'normal(2, {spatial}, 4)'),
  )


RECORD = Layer(
  linen=('flax.linen.ConvLSTMCell',),
  nnx='ConvLSTMCell',
  member='conv_lstm_cell',
  arguments=(
    same('features', nnx='out_features', keyword=False),
    same('kernel_size', keyword=False),
    same('strides', None),
    same('padding', 'SAME'),
    USE_BIAS,
    *dtypes(),
    carry_init(ZEROS),
  ),
  sizes=(IN_FEATURES,),
  call=CALL,
  helper=_HELPER,
  notes=NOTES,
  examples=(
    one_layer(
      'nn.ConvLSTMCell(6, (3, 3))',
      'ConvLSTMCell(in_features, 6, (3, 3), rngs=rngs)',
      'conv_lstm_cell',
      call='carry, x',
      given='carry, x',
    ),
    other_library('ConvLSTMCell'),
  ),
  samples=(_sample(), _sample(', use_bias=False', rank=1), _sample(', dtype=jnp.bfloat16')),
)
