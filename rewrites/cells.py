"""What the recurrent cells share: sizes, arguments, calls."""

from __future__ import annotations

from rewrites.defaults import BIAS_INIT, KERNEL_INIT, ORTHOGONAL, SIGMOID, TANH, ZEROS, dtypes, same
from rewrites.facts import last_of
from rewrites.programs import one_layer, other_library
from rewrites.record import Argument, CallArgument, Example, Size, Source

IN_FEATURES = Size('in_features', last_of('inputs'))
CALL = (CallArgument('carry', 'carry'), CallArgument('inputs', 'inputs'))
FEATURES = same('features', nnx='hidden_features', keyword=False)
ACTIVATION = same('activation_fn', TANH)
RECURRENT_INIT = same('recurrent_kernel_init', ORTHOGONAL)
NOTES = 'NNX has `initialize_carry(input_shape, rngs)`, Linen `initialize_carry(rng, input_shape)`.'


def carry_init(nnx_spelled: Source | None) -> Argument:
  """Returns the row `carry_init`: zeros on both sides; a random carry would come from another key in NNX."""
  return same(
    'carry_init',
    ZEROS,
    nnx_spelled=nnx_spelled,
    unsupported='NNX draws the initial carry from another key; pass initial_carry instead',
  )


def gated(activation_fn: Argument = ACTIVATION, nnx_carry: Source | None = None) -> tuple[Argument, ...]:
  """Returns the arguments of LSTMCell, OptimizedLSTMCell and GRUCell, which are the same."""
  return (
    FEATURES,
    same('gate_fn', SIGMOID),
    activation_fn,
    KERNEL_INIT,
    RECURRENT_INIT,
    BIAS_INIT,
    *dtypes(),
    carry_init(nnx_carry),
  )


def examples(linen: str, nnx: str, member: str) -> tuple[Example, ...]:
  """Returns the example of a cell that is called with a carry, and the no-op."""
  return (
    one_layer(
      f'nn.{linen}(6)', f'{nnx}(in_features, 6, rngs=rngs)', member, call='carry, x', given='carry, x'
    ),
    other_library(linen),
  )
