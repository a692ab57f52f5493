"""nn.SimpleCell -> nnx.SimpleCell: NNX computes in float32 unless told otherwise, Linen in what it gets."""

from __future__ import annotations

from rewrites.cells import ACTIVATION, CALL, FEATURES, IN_FEATURES, NOTES, RECURRENT_INIT, carry_init
from rewrites.defaults import BIAS_INIT, FLOAT32, KERNEL_INIT, same
from rewrites.programs import one_layer, other_library
from rewrites.record import Argument, Layer, Rename, Sample

_INPUTS = ('normal(3, 6, seed=8)', 'normal(3, 4)')
_HALF = 'param_dtype=jnp.bfloat16, recurrent_kernel_init=nn.initializers.zeros'

RECORD = Layer(
  linen=('flax.linen.SimpleCell',),
  nnx='flax.nnx.SimpleCell',
  member='simple_cell',
  arguments=(
    FEATURES,
    ACTIVATION,
    KERNEL_INIT,
    RECURRENT_INIT,
    BIAS_INIT,
    Argument('dtype', 'dtype', None, FLOAT32),
    same('param_dtype', FLOAT32),
    carry_init(None),
    same('residual', False),
  ),
  sizes=(IN_FEATURES,),
  call=CALL,
  parameters=(Rename('i', 'dense_i'), Rename('h', 'dense_h')),
  notes=NOTES,
  examples=(
    one_layer(
      'nn.SimpleCell(6)',
      'nnx.SimpleCell(in_features, 6, dtype=None, rngs=rngs)',
      'simple_cell',
      call='carry, x',
      given='carry, x',
    ),
    other_library('SimpleCell'),
  ),
  samples=(
    Sample('nn.SimpleCell(6)', 'nnx.SimpleCell(4, 6, dtype=None, rngs=rngs)', _INPUTS),
    Sample(
      'nn.SimpleCell(6, residual=True)', 'nnx.SimpleCell(4, 6, dtype=None, residual=True, rngs=rngs)', _INPUTS
    ),
    Sample(
      f'nn.SimpleCell(6, {_HALF})',
      f'nnx.SimpleCell(4, 6, dtype=None, {_HALF}, rngs=rngs)',
      tuple(f'{text}.astype(jnp.bfloat16)' for text in _INPUTS),
    ),
  ),
)
