"""nn.PReLU -> nnx.PReLU: one slope; the arguments have another order."""

from __future__ import annotations

from rewrites.defaults import FLOAT32, same
from rewrites.programs import other_library
from rewrites.record import Example, Layer, Sample

RECORD = Layer(
  linen=('flax.linen.PReLU',),
  nnx='flax.nnx.PReLU',
  member='prelu',
  arguments=(same('param_dtype', FLOAT32), same('negative_slope_init', 0.01, keyword=False)),
  rngs=False,
  reorder=True,
  examples=(
    Example(
      """\
from flax import linen as nn


class Net(nn.Module):

  @nn.compact
  def __call__(self, x):
    return nn.PReLU(negative_slope_init=0.1)(x)
""",
      """\
from flax import nnx


class Net(nnx.Module):

  def __init__(self, *, rngs: nnx.Rngs):
    self.prelu = nnx.PReLU(negative_slope_init=0.1)

  def __call__(self, x):
    return self.prelu(x)
""",
    ),
    other_library('PReLU'),
  ),
  samples=(
    Sample('nn.PReLU()', 'nnx.PReLU()'),
    Sample('nn.PReLU(negative_slope_init=0.1)', 'nnx.PReLU(negative_slope_init=0.1)', ('normal(3)',)),
    Sample('nn.PReLU(jnp.bfloat16)', 'nnx.PReLU(param_dtype=jnp.bfloat16)'),
  ),
)
