"""nn.GRUCell -> a helper class: nnx.GRUCell has no bias on the recurrent part of the candidate."""

from __future__ import annotations

from rewrites.cells import CALL, IN_FEATURES, NOTES, examples, gated
from rewrites.defaults import ZEROS
from rewrites.record import Helper, Layer, Rename, Sample

_INPUTS = ('normal(3, 6, seed=8)', 'normal(3, 4)')

_HELPER = Helper(
  'GRUCell',
  '''\
class GRUCell(nnx.RNNCellBase):
  """Gated recurrent unit whose candidate has a bias on its recurrent part.

  nnx.GRUCell has no such bias (`hn/bias`), and it sits inside the product with the reset gate, so
  trained weights of flax.linen cannot be moved there.

  Args:
    in_features: size of the last axis of the inputs.
    hidden_features: size of the carry.
    gate_fn, activation_fn: functions of the gates and of the candidate.
    kernel_init, recurrent_kernel_init, bias_init: initializers.
    dtype: dtype of the computation; None infers it.
    param_dtype: dtype of the parameters.
    carry_init: initializer of the carry.
    rngs: random streams; `params` is used.
  """

  def __init__(
      self, in_features, hidden_features, *, gate_fn=nnx.sigmoid, activation_fn=nnx.tanh,
      kernel_init=nnx.initializers.lecun_normal(), recurrent_kernel_init=nnx.initializers.orthogonal(),
      bias_init=nnx.initializers.zeros_init(), dtype=None, param_dtype=jnp.float32,
      carry_init=nnx.initializers.zeros_init(), rngs):
    self.in_features = in_features
    self.hidden_features = hidden_features
    self.gate_fn = gate_fn
    self.activation_fn = activation_fn
    self.param_dtype = param_dtype
    self.carry_init = carry_init
    options = dict(dtype=dtype, param_dtype=param_dtype, bias_init=bias_init, rngs=rngs)
    inner = functools.partial(nnx.Linear, in_features, hidden_features, kernel_init=kernel_init, **options)
    recurrent = functools.partial(
        nnx.Linear, hidden_features, hidden_features, kernel_init=recurrent_kernel_init, **options)
    self.ir = inner()
    self.hr = recurrent(use_bias=False)
    self.iz = inner()
    self.hz = recurrent(use_bias=False)
    self.in_ = inner()
    self.hn = recurrent()

  def __call__(self, carry, inputs):
    """Takes one step: carry (batch..., hidden), inputs (batch..., in); returns (carry, output)."""
    h = carry
    r = self.gate_fn(self.ir(inputs) + self.hr(h))
    z = self.gate_fn(self.iz(inputs) + self.hz(h))
    n = self.activation_fn(self.in_(inputs) + r * self.hn(h))
    h = (1.0 - z) * n + z * h
    return h, h

  def initialize_carry(self, input_shape, rngs=None, carry_init=None):
    """Returns the first carry for inputs of `input_shape`; zeros unless an initializer says otherwise."""
    init = self.carry_init if carry_init is None else carry_init
    key = jax.random.key(0) if rngs is None else rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs()
    return init(key, (*input_shape[:-1], self.hidden_features), self.param_dtype)

  @property
  def num_feature_axes(self):
    return 1
''',
  imports=('import functools', 'from flax import nnx', 'import jax', 'import jax.numpy as jnp'),
)


def _sample(options: str = '') -> Sample:
  return Sample(f'nn.GRUCell(6{options})', f'GRUCell(4, 6{options}, rngs=rngs)', _INPUTS)


RECORD = Layer(
  linen=('flax.linen.GRUCell',),
  nnx='GRUCell',
  member='gru_cell',
  arguments=gated(nnx_carry=ZEROS),
  sizes=(IN_FEATURES,),
  call=CALL,
  parameters=(Rename('in', 'in_'),),
  helper=_HELPER,
  notes=NOTES,
  examples=examples('GRUCell', 'GRUCell', 'gru_cell'),
  samples=(
    _sample(),
    _sample(', dtype=jnp.bfloat16'),
    _sample(', gate_fn=nn.hard_sigmoid, activation_fn=nn.relu'),
  ),
)
