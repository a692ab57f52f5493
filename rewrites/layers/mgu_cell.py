"""nn.MGUCell -> a helper class: NNX has no minimal gated unit."""

from __future__ import annotations

from rewrites.cells import (
  ACTIVATION,
  CALL,
  FEATURES,
  IN_FEATURES,
  NOTES,
  RECURRENT_INIT,
  carry_init,
  examples,
)
from rewrites.defaults import KERNEL_INIT, ONES, SIGMOID, ZEROS, dtypes, same
from rewrites.record import Helper, Layer, Rename, Sample

_INPUTS = ('normal(3, 6, seed=8)', 'normal(3, 4)')

_HELPER = Helper(
  'MGUCell',
  '''\
class MGUCell(nnx.RNNCellBase):
  """Minimal gated unit: one gate that forgets and resets.

  Args:
    in_features: size of the last axis of the inputs.
    hidden_features: size of the carry.
    gate_fn, activation_fn: functions of the gate and of the candidate.
    kernel_init, recurrent_kernel_init: initializers of the kernels.
    forget_bias_init, activation_bias_init: initializers of the biases of the gate and of the candidate.
    dtype: dtype of the computation; None infers it.
    param_dtype: dtype of the parameters.
    carry_init: initializer of the carry.
    reset_gate: whether the gate also multiplies the recurrent part of the candidate.
    rngs: random streams; `params` is used.
  """

  def __init__(
      self, in_features, hidden_features, *, gate_fn=nnx.sigmoid, activation_fn=nnx.tanh,
      kernel_init=nnx.initializers.lecun_normal(), recurrent_kernel_init=nnx.initializers.orthogonal(),
      forget_bias_init=nnx.initializers.ones_init(), activation_bias_init=nnx.initializers.zeros_init(),
      dtype=None, param_dtype=jnp.float32, carry_init=nnx.initializers.zeros_init(), reset_gate=True, rngs):
    self.in_features = in_features
    self.hidden_features = hidden_features
    self.gate_fn = gate_fn
    self.activation_fn = activation_fn
    self.param_dtype = param_dtype
    self.carry_init = carry_init
    self.reset_gate = reset_gate
    options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
    inner = functools.partial(nnx.Linear, in_features, hidden_features, kernel_init=kernel_init, **options)
    recurrent = functools.partial(
        nnx.Linear, hidden_features, hidden_features, kernel_init=recurrent_kernel_init,
        bias_init=activation_bias_init, **options)
    self.if_ = inner(bias_init=forget_bias_init)
    self.hf = recurrent(use_bias=False)
    self.hn = recurrent(use_bias=reset_gate)
    self.in_ = inner(bias_init=activation_bias_init)

  def __call__(self, carry, inputs):
    """Takes one step: carry (batch..., hidden), inputs (batch..., in); returns (carry, output)."""
    h = carry
    f = self.gate_fn(self.if_(inputs) + self.hf(h))
    past = self.hn(h)
    if self.reset_gate:
      past = past * f
    n = self.activation_fn(self.in_(inputs) + past)
    h = (1.0 - f) * n + f * h
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
  return Sample(f'nn.MGUCell(6{options})', f'MGUCell(4, 6{options}, rngs=rngs)', _INPUTS)


RECORD = Layer(
  linen=('flax.linen.MGUCell',),
  nnx='MGUCell',
  member='mgu_cell',
  arguments=(
    FEATURES,
    same('gate_fn', SIGMOID),
    ACTIVATION,
    KERNEL_INIT,
    RECURRENT_INIT,
    same('forget_bias_init', ONES),
    same('activation_bias_init', ZEROS),
    *dtypes(),
    carry_init(ZEROS),
    same('reset_gate', True),
  ),
  sizes=(IN_FEATURES,),
  call=CALL,
  parameters=(Rename('if', 'if_'), Rename('in', 'in_')),
  helper=_HELPER,
  notes=NOTES,
  examples=examples('MGUCell', 'MGUCell', 'mgu_cell'),
  samples=(_sample(), _sample(', reset_gate=False'), _sample(', dtype=jnp.bfloat16')),
)
