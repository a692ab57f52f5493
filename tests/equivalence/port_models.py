"""A vision transformer with BatchNorm in its stem, in Linen and as one would port it by hand."""
from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class Block(nn.Module):
  heads: int
  rate: float = 0.1

  @nn.compact
  def __call__(self, x, deterministic):
    y = nn.LayerNorm()(x)
    y = nn.MultiHeadDotProductAttention(self.heads, dropout_rate=self.rate)(y, y, deterministic=deterministic)
    x = x + nn.Dropout(self.rate)(y, deterministic=deterministic)
    y = nn.LayerNorm()(x)
    y = nn.gelu(nn.Dense(2 * x.shape[-1])(y))
    y = nn.Dropout(self.rate)(y, deterministic=deterministic)
    return x + nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros)(y)


class ViT(nn.Module):
  width: int = 8
  depth: int = 3

  @nn.compact
  def __call__(self, images, train: bool = False):
    x = nn.Conv(self.width, (2, 2), strides=(2, 2), padding='VALID')(images)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = x.reshape(x.shape[0], -1, self.width)
    x = x + self.param('positions', nn.initializers.normal(0.02), (1, x.shape[1], self.width))
    for index in range(self.depth):
      x = Block(2, name=f'block_{index}')(x, not train)
    x = nn.LayerNorm()(x)
    return nn.Dense(3, name='head')(x.mean(1))


class NnxBlock(nnx.Module):
  def __init__(self, width: int, heads: int, *, rate: float = 0.1, rngs: nnx.Rngs):
    self.norm1 = nnx.LayerNorm(width, rngs=rngs)
    self.attention = nnx.MultiHeadAttention(heads, width, dropout_rate=rate, decode=False, rngs=rngs)
    self.drop1 = nnx.Dropout(rate, rngs=rngs)
    self.norm2 = nnx.LayerNorm(width, rngs=rngs)
    self.wide = nnx.Linear(width, 2 * width, rngs=rngs)
    self.drop2 = nnx.Dropout(rate, rngs=rngs)
    self.narrow = nnx.Linear(2 * width, width, kernel_init=nnx.initializers.zeros, rngs=rngs)

  def __call__(self, x):
    x = x + self.drop1(self.attention(self.norm1(x)))
    return x + self.narrow(self.drop2(self.activation(self.wide(self.norm2(x)))))

  def activation(self, x):
    return nnx.gelu(x)


class Encoder(nnx.Module):
  """A level that Linen does not have."""

  def __init__(self, width: int, depth: int, *, rngs: nnx.Rngs):
    self.layers = nnx.List([NnxBlock(width, 2, rngs=rngs) for _ in range(depth)])

  def __call__(self, x):
    for layer in self.layers:
      x = layer(x)
    return x


class NnxViT(nnx.Module):
  def __init__(self, width: int = 8, depth: int = 3, *, rngs: nnx.Rngs):
    self.patches = nnx.Conv(3, width, (2, 2), strides=(2, 2), padding='VALID', rngs=rngs)
    self.stem_norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
    self.position_table = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (1, 4, width)))
    self.encoder = Encoder(width, depth, rngs=rngs)
    self.final_norm = nnx.LayerNorm(width, rngs=rngs)
    self.classifier = nnx.Linear(width, 3, rngs=rngs)

  def __call__(self, images):
    x = self.stem_norm(self.patches(images))
    x = x.reshape(x.shape[0], -1, x.shape[-1]) + self.position_table[...]
    return self.classifier(self.final_norm(self.encoder(x)).mean(1))


class LeakyBlock(NnxBlock):
  """A block whose activation is the exact gelu, where Linen's is the approximate one."""

  def activation(self, x):
    return nnx.gelu(x, approximate=False)


def images(batch: int = 2) -> jnp.ndarray:
  return jnp.sin(jnp.arange(batch * 4 * 4 * 3, dtype=jnp.float32)).reshape(batch, 4, 4, 3)
