"""nn.Dropout -> nnx.Dropout: no variables; NNX keeps a random stream and drops unless told otherwise."""

from __future__ import annotations

from rewrites.defaults import same
from rewrites.programs import one_layer, other_library
from rewrites.record import Argument, CallArgument, Layer, Sample

_KEY = 'jax.random.key(3)'
_DROP = 'deterministic=False'

RECORD = Layer(
  linen=('flax.linen.Dropout',),
  nnx='flax.nnx.Dropout',
  member='dropout',
  arguments=(
    same('rate', keyword=False, slip=0.5),
    same('broadcast_dims', ()),
    Argument('deterministic', 'deterministic', None, False, on_call='deterministic'),
    same('rng_collection', 'dropout'),
  ),
  call=(
    CallArgument('inputs', 'inputs'),
    CallArgument('deterministic', 'deterministic', keyword=True),
    CallArgument('rng', 'rngs', keyword=True),
  ),
  collections=(),
  notes='The masks are the same for the same key; the keys are derived in another way.',
  examples=(
    one_layer(
      'nn.Dropout(0.5, deterministic=not train)',
      'nnx.Dropout(0.5, rngs=rngs)',
      'dropout',
      parameters='*, ',
      call='x, train: bool',
      given='x',
      given_after='x, deterministic=not train',
    ),
    one_layer(
      'nn.Dropout(rate=0.5)',
      'nnx.Dropout(rate=0.5, rngs=rngs)',
      'dropout',
      parameters='*, ',
      call='x, train: bool',
      given='x, not train',
      given_after='x, deterministic=not train',
    ),
    other_library('Dropout'),
  ),
  samples=(
    Sample('nn.Dropout(0.4, deterministic=True)', 'nnx.Dropout(0.4, deterministic=True, rngs=rngs)'),
    Sample(
      'nn.Dropout(0.4)',
      'nnx.Dropout(0.4)',
      ('normal(6, 7)',),
      f'{_DROP}, rng={_KEY}',
      f'{_DROP}, rngs={_KEY}',
    ),
    Sample(
      'nn.Dropout(0.4, broadcast_dims=(0,), deterministic=False)',
      'nnx.Dropout(0.4, broadcast_dims=(0,), deterministic=False)',
      ('normal(6, 7)',),
      f'rng={_KEY}',
      f'rngs={_KEY}',
    ),
    Sample(
      'nn.Dropout(1.0)',
      'nnx.Dropout(1.0)',
      ('normal(6, 7)',),
      f'{_DROP}, rng={_KEY}',
      f'{_DROP}, rngs={_KEY}',
    ),
    Sample('nn.Dropout(0.0)', 'nnx.Dropout(0.0)', ('normal(6, 7)',), _DROP, _DROP),
  ),
)
