"""Programs to mutate: random ones, and the training gradients of small models."""
from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

UNARY = (jnp.sin, jnp.tanh, jnp.exp, jnp.abs, jnp.square, jnp.negative, jax.nn.relu, jax.nn.gelu, jax.nn.softmax,
         lambda x: x / 4, lambda x: x * 1.5, lambda x: 0.3 - x, lambda x: x.astype(jnp.bfloat16).astype(x.dtype),
         lambda x: x - x.mean(-1, keepdims=True), lambda x: jnp.where(x > 0, x, 0.1 * x), lambda x: x.T,
         lambda x: jnp.concatenate([x[:2], x[2:]]), lambda x: x[::-1], lambda x: jnp.roll(x, 1, 0),
         lambda x: x.reshape(2, 8).reshape(4, 4), lambda x: x + x[0], lambda x: x * x[:, :1],
         lambda x: jnp.cumsum(x, 0), lambda x: jnp.sort(x, 1))
BINARY = (jnp.add, jnp.subtract, jnp.multiply, jnp.maximum, jnp.minimum, jnp.matmul,
          lambda a, b: a / (1 + b * b), lambda a, b: jnp.where(a < b, a, b),
          lambda a, b: jnp.einsum('ij,kj->ik', a, b), lambda a, b: jnp.concatenate([a[:2], b[2:]]))


def random_function(source: random.Random) -> Callable[..., Any]:
  """Returns a function of two 4 x 4 arrays, of random operations; every other one with a loop, some a gradient."""
  steps = [(source.random(), source.choice(UNARY), source.choice(BINARY), source.random(), source.random())
           for _ in range(source.randint(4, 9))]
  loop, carried = source.random() < 0.5, source.randint(1, 3)

  def body(values: list[Any]) -> list[Any]:
    for kind, unary, binary, first, second in steps:
      a, b = values[int(first * len(values))], values[int(second * len(values))]
      values = [*values, unary(a) if kind < 0.5 else binary(a, b)]
    return values

  def run(x: Any, y: Any) -> Any:
    if not loop:
      return body([x, y])[-1]

    def step(state: Any, row: Any) -> Any:
      values = body([*state, row + y])
      return tuple(jnp.tanh(value) for value in values[-carried:]), values[len(values) // 2]

    start = tuple(x * (k + 1) for k in range(carried))
    state, stack = jax.lax.scan(step, start, jnp.stack([x, y, x - y]))
    return sum(state) + stack.sum(0)

  return jax.grad(lambda x, y: run(x, y).sum(), (0, 1)) if source.random() < 0.4 else run


def arguments() -> tuple[np.ndarray, np.ndarray]:
  numbers = np.random.default_rng(0)
  return numbers.normal(size=(4, 4)).astype(np.float32), numbers.normal(size=(4, 4)).astype(np.float32)


class Mlp(nn.Module):
  @nn.compact
  def __call__(self, x: Any) -> Any:
    x = nn.gelu(nn.LayerNorm()(nn.Dense(6)(x)))
    return nn.Dense(3)(nn.Dropout(0.2, deterministic=False)(x))


class Cnn(nn.Module):
  @nn.compact
  def __call__(self, x: Any) -> Any:
    x = nn.relu(nn.BatchNorm(use_running_average=False)(nn.Conv(4, (3, 3))(x)))
    return nn.Dense(3)(nn.max_pool(x, (2, 2), (2, 2)).mean((1, 2)))


class Attention(nn.Module):
  @nn.compact
  def __call__(self, x: Any) -> Any:
    mask = nn.make_causal_mask(x[..., 0])
    return x + nn.MultiHeadDotProductAttention(2)(nn.RMSNorm()(x), mask=mask)


class Recurrent(nn.Module):
  @nn.compact
  def __call__(self, x: Any) -> Any:
    return nn.Dense(2)(nn.RNN(nn.LSTMCell(4))(x))


MODELS = {'mlp': (Mlp(), (3, 5)), 'cnn': (Cnn(), (2, 6, 6, 2)), 'attention': (Attention(), (2, 4, 4)),
          'recurrent': (Recurrent(), (2, 5, 3))}


def model_gradient(name: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
  """Returns the gradient of a model's training loss, and arguments for it."""
  model, shape = MODELS[name]
  x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
  rngs = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
  variables = model.init(rngs, x)
  variables = jax.tree.map(lambda leaf: leaf + 0.1 * np.random.default_rng(2).normal(size=leaf.shape).astype(leaf.dtype),
                           variables)

  def loss(variables: Any, x: Any) -> Any:
    output = model.apply(variables, x, rngs={'dropout': jax.random.key(1)}, mutable=['batch_stats'])[0]
    return jnp.mean(output ** 2 + output)

  return jax.grad(loss), (variables, x)
