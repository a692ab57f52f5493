"""nn.Embed -> nnx.Embed: a lookup table; no size is read from the input."""

from __future__ import annotations

from rewrites.defaults import PROMOTE_DTYPE, dtypes, same
from rewrites.programs import one_layer, other_library
from rewrites.record import Layer, Sample, Source

RECORD = Layer(
  linen=('flax.linen.Embed',),
  nnx='flax.nnx.Embed',
  member='embed',
  arguments=(
    same('num_embeddings', keyword=False),
    same('features', keyword=False),
    *dtypes(),
    same(
      'embedding_init', Source("flax.nnx.initializers.variance_scaling(1.0, 'fan_in', 'normal', out_axis=0)")
    ),
    PROMOTE_DTYPE,
  ),
  notes='`attend` with dtype=None and half-precision parameters returns the parameter dtype in NNX.',
  examples=(
    one_layer('nn.Embed(7, 4)', 'nnx.Embed(7, 4, rngs=rngs)', 'embed', parameters='*, '),
    other_library('Embed'),
  ),
  samples=(
    Sample('nn.Embed(7, 4)', 'nnx.Embed(7, 4, rngs=rngs)', ('integers(7, 2, 3)',)),
    Sample('nn.Embed(1, 4)', 'nnx.Embed(1, 4, rngs=rngs)', ('integers(1, 2, 3)',)),
    Sample('nn.Embed(7, 4)', 'nnx.Embed(7, 4, rngs=rngs)', ('integers(7, 2, 3) + 4',), gradient=False),
    Sample(
      'nn.Embed(7, 4, dtype=jnp.bfloat16)',
      'nnx.Embed(7, 4, dtype=jnp.bfloat16, rngs=rngs)',
      ('integers(7, 2, 3)',),
    ),
    Sample(
      'nn.Embed(7, 4, param_dtype=jnp.bfloat16)',
      'nnx.Embed(7, 4, param_dtype=jnp.bfloat16, rngs=rngs)',
      ('integers(7, 2, 3)',),
    ),
  ),
)
