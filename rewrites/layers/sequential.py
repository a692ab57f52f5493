"""nn.Sequential -> nnx.Sequential: the list is spread into positional arguments."""

from __future__ import annotations

from rewrites.defaults import same
from rewrites.programs import one_layer, other_library
from rewrites.record import CallArgument, Child, Layer, Sample

RECORD = Layer(
  linen=('flax.linen.Sequential',),
  nnx='flax.nnx.Sequential',
  member='sequential',
  arguments=(same('layers', nnx='fns', keyword=False),),
  rngs=False,
  call=(CallArgument('*args', '*args'), CallArgument('**kwargs', '**kwargs')),
  star_argument='layers',
  children=(Child('layers', 'layers', 'layers_{}', many=True),),
  collections=(),
  notes='From flax 0.12.12 on keywords of the call reach every layer that takes them, before only the first.',
  examples=(
    one_layer(
      'nn.Sequential([nn.Dense(5), nn.relu])',
      'nnx.Sequential(nnx.Linear(in_features, 5, rngs=rngs), nnx.relu)',
      'sequential',
    ),
    other_library('Sequential'),
  ),
  samples=(
    Sample(
      'nn.Sequential([nn.Dense(5), nn.relu, nn.Dense(2)])',
      'nnx.Sequential(nnx.Linear(3, 5, rngs=rngs), nnx.relu, nnx.Linear(5, 2, rngs=rngs))',
    ),
    Sample(
      'nn.Sequential([lambda x: (x, 2 * x), lambda a, b: dict(inputs=a + b), nn.Dense(2)])',
      'nnx.Sequential(lambda x: (x, 2 * x), lambda a, b: dict(inputs=a + b), nnx.Linear(3, 2, rngs=rngs))',
    ),
  ),
)
