"""nn.OptimizedLSTMCell -> nnx.OptimizedLSTMCell: the four gates lie in one array, in the order i, f, g, o."""

from __future__ import annotations

from rewrites.cells import CALL, IN_FEATURES, NOTES, examples, gated
from rewrites.record import Concatenate, Layer, Sample

_INPUTS = ('(normal(3, 6, seed=8), normal(3, 6, seed=9))', 'normal(3, 4)')


def _gates(side: str, leaf: str) -> Concatenate:
  return Concatenate(tuple(f'{side}{gate}/{leaf}' for gate in 'ifgo'), f'dense_{side}/{leaf}')


RECORD = Layer(
  linen=('flax.linen.OptimizedLSTMCell',),
  nnx='flax.nnx.OptimizedLSTMCell',
  member='optimized_lstm_cell',
  arguments=gated(),
  sizes=(IN_FEATURES,),
  call=CALL,
  parameters=(_gates('i', 'kernel'), _gates('h', 'kernel'), _gates('h', 'bias')),
  notes=NOTES,
  examples=examples('OptimizedLSTMCell', 'nnx.OptimizedLSTMCell', 'optimized_lstm_cell'),
  samples=(
    Sample('nn.OptimizedLSTMCell(6)', 'nnx.OptimizedLSTMCell(4, 6, rngs=rngs)', _INPUTS),
    Sample(
      'nn.OptimizedLSTMCell(6, dtype=jnp.bfloat16)',
      'nnx.OptimizedLSTMCell(4, 6, dtype=jnp.bfloat16, rngs=rngs)',
      _INPUTS,
    ),
  ),
)
