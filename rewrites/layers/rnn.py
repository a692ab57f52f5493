"""nn.RNN -> nnx.RNN: a cell run over the time axis."""

from __future__ import annotations

from rewrites.defaults import gone, same
from rewrites.programs import one_layer, other_library
from rewrites.record import CallArgument, Child, Layer, Sample, Source

_LIFT = 'NNX runs the cell under nnx.scan and takes state_axes, a map of variable types, instead'
_NNX_CELL = 'nnx.LSTMCell(4, 6, rngs=rngs)'


def _sample(options: str = '', call: str = '', nnx_call: str | None = None) -> Sample:
  return Sample(
    f'nn.RNN(nn.LSTMCell(6){options})',
    f'nnx.RNN({_NNX_CELL}{options})',
    ('normal(3, 5, 4)',),
    call,
    call if nnx_call is None else nnx_call,
  )


RECORD = Layer(
  linen=('flax.linen.RNN',),
  nnx='flax.nnx.RNN',
  member='rnn',
  arguments=(
    same('cell', keyword=False),
    same('time_major', False),
    same('return_carry', False),
    same('reverse', False),
    same('keep_order', False),
    same('unroll', 1),
    gone('variable_axes', Source('flax.core.FrozenDict()'), _LIFT),
    gone('variable_broadcast', 'params', _LIFT),
    gone('variable_carry', False, _LIFT),
    gone('split_rngs', Source("flax.core.FrozenDict({'params': False})"), _LIFT),
  ),
  rngs=False,
  call=(
    CallArgument('inputs', 'inputs'),
    CallArgument('initial_carry', 'initial_carry', keyword=True),
    CallArgument('init_key', None),
    CallArgument('seq_lengths', 'seq_lengths', keyword=True),
    CallArgument('return_carry', 'return_carry', keyword=True),
    CallArgument('time_major', 'time_major', keyword=True),
    CallArgument('reverse', 'reverse', keyword=True),
    CallArgument('keep_order', 'keep_order', keyword=True),
  ),
  children=(Child('cell', 'cell', 'cell'),),
  collections=(),
  notes='nnx.RNN keeps a random stream for the carry: two rng variables in its state.',
  examples=(
    one_layer('nn.RNN(nn.LSTMCell(6))', 'nnx.RNN(nnx.LSTMCell(in_features, 6, rngs=rngs))', 'rnn'),
    other_library('RNN'),
  ),
  samples=(
    _sample(),
    _sample(', time_major=True'),
    _sample(', return_carry=True', 'seq_lengths=jnp.array([3, 5, 2])'),
    _sample(', reverse=True, keep_order=True', 'seq_lengths=jnp.array([3, 5, 2])'),
    _sample(', unroll=2', 'initial_carry=(normal(3, 6, seed=3), normal(3, 6, seed=4))'),
    Sample(
      'nn.RNN(nn.OptimizedLSTMCell(6))',
      'nnx.RNN(nnx.OptimizedLSTMCell(4, 6, rngs=rngs))',
      ('normal(3, 5, 4)',),
    ),
    Sample('nn.RNN(nn.GRUCell(6))', 'nnx.RNN(GRUCell(4, 6, rngs=rngs))', ('normal(3, 5, 4)',)),
    Sample('nn.RNN(nn.MGUCell(6))', 'nnx.RNN(MGUCell(4, 6, rngs=rngs))', ('normal(2, 3, 5, 4)',)),
    Sample(
      'nn.RNN(nn.ConvLSTMCell(6, (3,)))',
      'nnx.RNN(ConvLSTMCell(4, 6, (3,), rngs=rngs))',
      ('normal(2, 3, 5, 4)',),
    ),
  ),
)
