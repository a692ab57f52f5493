"""A network as agents of the public corpus have it (residual stacks, dueling heads), in Linen, and its port by hand.

Written anew; the packages themselves are not kept here.  `Slips` names the three mistakes the port can have.
"""
from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class Stack(nn.Module):
  channels: int
  blocks: int = 2

  @nn.compact
  def __call__(self, x):
    init = nn.initializers.xavier_uniform()
    x = nn.Conv(self.channels, (3, 3), kernel_init=init)(x)
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding='SAME')
    for _ in range(self.blocks):
      before = x
      x = nn.Conv(self.channels, (3, 3), kernel_init=init)(nn.relu(x))
      x = nn.Conv(self.channels, (3, 3), kernel_init=init)(nn.relu(x))
      x = x + before
    return x


class Agent(nn.Module):
  actions: int = 4
  widths: tuple[int, ...] = (4, 6)

  @nn.compact
  def __call__(self, frames):
    x = frames / 255.0
    for width in self.widths:
      x = Stack(width)(x)
    x = nn.relu(x).reshape((x.shape[0], -1))
    x = nn.relu(nn.Dense(16)(x))
    value, advantage = nn.Dense(1)(x), nn.Dense(self.actions)(x)
    return value + advantage - advantage.mean(-1, keepdims=True)


class NnxBlock(nnx.Module):
  def __init__(self, channels: int, *, rngs: nnx.Rngs):
    init = nnx.initializers.xavier_uniform()
    self.conv1 = nnx.Conv(channels, channels, (3, 3), kernel_init=init, rngs=rngs)
    self.conv2 = nnx.Conv(channels, channels, (3, 3), kernel_init=init, rngs=rngs)

  def __call__(self, x):
    return self.conv2(nnx.relu(self.conv1(nnx.relu(x)))) + x


class ForgetfulBlock(NnxBlock):
  def __call__(self, x):
    return self.conv2(self.conv1(nnx.relu(x))) + x  # slip: relu between the convolutions


class NnxStack(nnx.Module):
  def __init__(self, in_features: int, channels: int, block: type[NnxBlock] = NnxBlock, *, rngs: nnx.Rngs):
    self.conv = nnx.Conv(in_features, channels, (3, 3), kernel_init=nnx.initializers.xavier_uniform(), rngs=rngs)
    self.blocks = nnx.List([block(channels, rngs=rngs), NnxBlock(channels, rngs=rngs)])

  def __call__(self, x):
    x = nnx.max_pool(self.conv(x), (3, 3), strides=(2, 2), padding='SAME')
    for block in self.blocks:
      x = block(x)
    return x


class AveragingStack(NnxStack):
  def __call__(self, x):
    x = nnx.avg_pool(self.conv(x), (3, 3), strides=(2, 2), padding='SAME')  # slip: mean instead of maximum
    for block in self.blocks:
      x = block(x)
    return x


class NnxAgent(nnx.Module):
  def __init__(self, actions: int = 4, *, slips: bool = False, rngs: nnx.Rngs):
    self.first = NnxStack(3, 4, ForgetfulBlock if slips else NnxBlock, rngs=rngs)
    self.second = (AveragingStack if slips else NnxStack)(4, 6, rngs=rngs)
    self.hidden = nnx.Linear(3 * 3 * 6, 16, rngs=rngs)
    self.value = nnx.Linear(16, 1, rngs=rngs)
    self.advantage = nnx.Linear(16, actions, rngs=rngs)
    self.slips = slips

  def __call__(self, frames):
    x = self.second(self.first(frames / 255.0))
    x = nnx.relu(self.hidden(nnx.relu(x).reshape((x.shape[0], -1))))
    value, advantage = self.value(x), self.advantage(x)
    if self.slips:
      return value + advantage - advantage.mean()  # slip: mean over the batch too
    return value + advantage - advantage.mean(-1, keepdims=True)


def frames() -> jnp.ndarray:
  return 255 * jnp.abs(jnp.sin(jnp.arange(2 * 9 * 9 * 3, dtype=jnp.float32))).reshape(2, 9, 9, 3)
