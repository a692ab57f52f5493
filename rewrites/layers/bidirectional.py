"""nn.Bidirectional -> nnx.Bidirectional: two RNNs over the same sequence, one of them backwards."""

from __future__ import annotations

from rewrites.defaults import same
from rewrites.programs import one_layer, other_library
from rewrites.record import CallArgument, Child, Layer, Sample, Source


def _sample(options: str = '', call: str = '') -> Sample:
  return Sample(
    f'nn.Bidirectional(nn.RNN(nn.LSTMCell(6)), nn.RNN(nn.OptimizedLSTMCell(5)){options})',
    'nnx.Bidirectional(nnx.RNN(nnx.LSTMCell(4, 6, rngs=rngs)), '
    f'nnx.RNN(nnx.OptimizedLSTMCell(4, 5, rngs=rngs)){options})',
    ('normal(3, 5, 4)',),
    call,
    call,
  )


RECORD = Layer(
  linen=('flax.linen.Bidirectional',),
  nnx='flax.nnx.Bidirectional',
  member='bidirectional',
  arguments=(
    same('forward_rnn', keyword=False),
    same('backward_rnn', keyword=False),
    # The default joins both results along the last axis; it has no public name.
    same('merge_fn', Source('lambda a, b: jax.numpy.concatenate([a, b], axis=-1)')),
    same('time_major', False),
    same('return_carry', False),
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
  children=(
    Child('forward_rnn', 'forward_rnn', 'forward_rnn'),
    Child('backward_rnn', 'backward_rnn', 'backward_rnn'),
  ),
  collections=(),
  examples=(
    one_layer(
      'nn.Bidirectional(nn.RNN(nn.LSTMCell(6)), nn.RNN(nn.LSTMCell(6)))',
      'nnx.Bidirectional(\n        nnx.RNN(nnx.LSTMCell(in_features, 6, rngs=rngs)), '
      'nnx.RNN(nnx.LSTMCell(in_features, 6, rngs=rngs)))',
      'bidirectional',
    ),
    other_library('Bidirectional'),
  ),
  samples=(
    _sample(),
    _sample(', return_carry=True', 'seq_lengths=jnp.array([3, 5, 2])'),
    _sample(', merge_fn=lambda a, b: a.sum(-1) + b.sum(-1)'),
  ),
)
