"""nn.LSTMCell -> nnx.LSTMCell: eight small layers; `if` is called `if_`."""

from __future__ import annotations

from rewrites.cells import CALL, IN_FEATURES, NOTES, examples, gated
from rewrites.record import Layer, Rename, Sample

_INPUTS = ('(normal(3, 6, seed=8), normal(3, 6, seed=9))', 'normal(3, 4)')


def _sample(options: str = '', nnx: str | None = None) -> Sample:
  native = options if nnx is None else nnx
  return Sample(f'nn.LSTMCell(6{options})', f'nnx.LSTMCell(4, 6{native}, rngs=rngs)', _INPUTS)


RECORD = Layer(
  linen=('flax.linen.LSTMCell',),
  nnx='flax.nnx.LSTMCell',
  member='lstm_cell',
  arguments=gated(),
  sizes=(IN_FEATURES,),
  call=CALL,
  parameters=(Rename('if', 'if_'),),
  notes=NOTES,
  examples=examples('LSTMCell', 'nnx.LSTMCell', 'lstm_cell'),
  samples=(
    _sample(),
    _sample(', dtype=jnp.bfloat16'),
    _sample(', gate_fn=nn.hard_sigmoid, activation_fn=nn.relu'),
  ),
)
