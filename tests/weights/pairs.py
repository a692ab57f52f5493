"""Small models written by hand in both libraries, with the manifest that joins them."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from migrator.manifest import Branch, ClassMap, Leaf, Loop, Manifest, Member, Shared, Submodule


@dataclasses.dataclass(frozen=True)
class Pair:
  """linen: the module.  nnx: function of Rngs.  members: of class 'm:Root'.  others: more classes.

  reversible: Linen's names can be told from the NNX paths alone.
  """

  linen: nn.Module
  nnx: Callable[[nnx.Rngs], nnx.Module]
  members: tuple[Member, ...]
  shape: tuple[int, ...] = (4, 3)
  others: dict[str, tuple[Member, ...]] = dataclasses.field(default_factory=dict)
  reversible: bool = True

  @property
  def manifest(self) -> Manifest:
    members = {'m:Root': self.members, **self.others}
    return Manifest({name: ClassMap(name, 'm.py', 1, 'native', members=rows)
                     for name, rows in members.items()})

  def input(self) -> jax.Array:
    return jax.random.normal(jax.random.key(7), self.shape)

  def variables(self) -> Any:
    """Random values everywhere: initial ones would hide swapped biases."""
    abstract = jax.eval_shape(self.linen.init, jax.random.key(0), self.input())
    flat, tree = jax.tree.flatten(abstract)
    random = np.random.default_rng(0)
    return jax.tree.unflatten(tree, [jnp.asarray(random.uniform(0.5, 1.5, a.shape), a.dtype) for a in flat])


def auto(prefix: str, *nnx_path: str, cls: str | None = None, **more: Any) -> Submodule:
  return Submodule(None, prefix, nnx_path, cls or f'flax.linen.{prefix}', **more)


def named(name: str, cls: str, *nnx_path: str, **more: Any) -> Submodule:
  path = tuple(name.split('/'))
  return Submodule(path, None, nnx_path or path, cls if ':' in cls else f'flax.linen.{cls}', **more)


class LinenMlp(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Dense(5)(x))
    x = nn.Dense(4, name='middle')(x)
    x = nn.Dropout(0.5, deterministic=True)(x)
    return nn.Dense(2, use_bias=False)(x) * self.param('scale', nn.initializers.ones, (2,))


class NnxMlp(nnx.Module):
  def __init__(self, rngs):
    self.linear1 = nnx.Linear(3, 5, rngs=rngs)
    self.middle = nnx.Linear(5, 4, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)
    self.linear2 = nnx.Linear(4, 2, use_bias=False, rngs=rngs)
    self.scale = nnx.Param(jnp.ones(2))

  def __call__(self, x):
    x = self.dropout(self.middle(nnx.relu(self.linear1(x))))
    return self.linear2(x) * self.scale


MLP = Pair(LinenMlp(), NnxMlp, (
  auto('Dense', 'linear1'), named('middle', 'Dense'), auto('Dropout', 'dropout'), auto('Dense', 'linear2'),
  Leaf('scale', 'params', ('scale',))))


class LinenLoop(nn.Module):
  @nn.compact
  def __call__(self, x):
    for _ in range(12):
      x = nn.LayerNorm()(nn.Dense(3)(x))
    return nn.Dense(2)(x)


class NnxLoop(nnx.Module):
  def __init__(self, rngs):
    self.linear = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(12)])
    self.norm = nnx.List([nnx.LayerNorm(3, rngs=rngs) for _ in range(12)])
    self.head = nnx.Linear(3, 2, rngs=rngs)

  def __call__(self, x):
    for linear, norm in zip(self.linear, self.norm, strict=True):
      x = norm(linear(x))
    return self.head(x)


# The head is one more Dense after a loop of any length: only the loop's norms tell where it ends.
LOOP = Pair(LinenLoop(), NnxLoop, (
  Loop((auto('Dense', 'linear', '*'), auto('LayerNorm', 'norm', '*'))), auto('Dense', 'head')))


class LinenBlock(nn.Module):
  features: int

  @nn.compact
  def __call__(self, x):
    y = nn.BatchNorm(use_running_average=True)(nn.Dense(self.features)(x))
    if x.shape[-1] != self.features:
      x = nn.Dense(self.features, name='proj')(x)
    return x + y


class NnxBlock(nnx.Module):
  def __init__(self, before, features, rngs):
    self.linear = nnx.Linear(before, features, rngs=rngs)
    self.norm = nnx.BatchNorm(features, use_running_average=True, rngs=rngs)
    self.proj = nnx.Linear(before, features, rngs=rngs) if before != features else None

  def __call__(self, x):
    y = self.norm(self.linear(x))
    return (x if self.proj is None else self.proj(x)) + y


BLOCK = (auto('Dense', 'linear'), auto('BatchNorm', 'norm'), Branch(((named('proj', 'Dense'),), ())))


class LinenNested(nn.Module):
  @nn.compact
  def __call__(self, x):
    for i, features in enumerate((3, 5, 5, 2)):
      x = LinenBlock(features, name=f'block_{i}')(x)
    for _ in range(2):
      x = LinenBlock(2)(x)
    return x


class NnxNested(nnx.Module):
  def __init__(self, rngs):
    sizes = (3, 3, 5, 5, 2)
    self.block = nnx.List([NnxBlock(a, b, rngs) for a, b in zip(sizes, sizes[1:], strict=False)])
    self.last = nnx.List([NnxBlock(2, 2, rngs) for _ in range(2)])

  def __call__(self, x):
    for block in [*self.block, *self.last]:
      x = block(x)
    return x


NESTED = Pair(LinenNested(), NnxNested, (
  Loop((named('block_{}', 'm:Block', 'block', '*'),)),
  Loop((auto('LinenBlock', 'last', '*', cls='m:Block'),))),
  others={'m:Block': BLOCK}, reversible=False)


class LinenSetup(nn.Module):
  def setup(self):
    self.layers = [nn.Dense(3) for _ in range(11)]
    self.heads = {'b': nn.Dense(2), 'a': nn.Dense(2)}
    self.body = nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(3)])

  def __call__(self, x):
    for layer in self.layers:
      x = layer(x)
    x = self.body(x)
    return self.heads['a'](x) - self.heads['b'](x)


class NnxSetup(nnx.Module):
  def __init__(self, rngs):
    self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(11)])
    self.heads = nnx.Dict({name: nnx.Linear(3, 2, rngs=rngs) for name in 'ba'})
    self.body = nnx.Sequential(nnx.Linear(3, 3, rngs=rngs), nnx.relu, nnx.Linear(3, 3, rngs=rngs))

  def __call__(self, x):
    for layer in self.layers:
      x = layer(x)
    x = self.body(x)
    return self.heads['a'](x) - self.heads['b'](x)


SETUP = Pair(LinenSetup(), NnxSetup, (
  Loop((named('layers_{}', 'Dense', 'layers', '*'),)), Loop((named('heads_{}', 'Dense', 'heads', '{}'),)),
  named('body', 'Sequential')), reversible=False)


class LinenShared(nn.Module):
  def setup(self):
    self.zoom = nn.Dense(3)
    self.embed = nn.Dense(3)

  def __call__(self, x):
    return self.zoom(self.embed(self.zoom(x)))


class NnxShared(nnx.Module):
  def __init__(self, rngs):
    self.zoom = nnx.Linear(3, 3, rngs=rngs)
    self.alias = self.zoom
    self.embed = nnx.Linear(3, 3, rngs=rngs)

  def __call__(self, x):
    return self.alias(self.embed(self.zoom(x)))


SHARED = Pair(LinenShared(), NnxShared, (
  named('zoom', 'Dense'), named('embed', 'Dense'), Shared(('alias',), ('zoom',))))


class LinenRecurrent(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.RNN(nn.OptimizedLSTMCell(5))(x)
    return nn.RNN(nn.LSTMCell(4), name='second')(x)


class NnxRecurrent(nnx.Module):
  def __init__(self, rngs):
    self.rnn1 = nnx.RNN(nnx.OptimizedLSTMCell(3, 5, rngs=rngs), rngs=rngs)
    self.rnn2 = nnx.RNN(nnx.LSTMCell(5, 4, rngs=rngs), rngs=rngs)

  def __call__(self, x):
    return self.rnn2(self.rnn1(x))


RECURRENT = Pair(LinenRecurrent(), NnxRecurrent, (
  auto('RNN', 'rnn1', transparent=True), auto('OptimizedLSTMCell', 'rnn1', 'cell'),
  named('second', 'RNN', 'rnn2', transparent=True), auto('LSTMCell', 'rnn2', 'cell')), shape=(2, 6, 3))


class Total(nnx.Variable):
  """A collection of its own."""


nnx.register_variable_name('totals', Total)


class LinenCustom(nn.Module):
  kind: Any = nn.Dense

  @nn.compact
  def __call__(self, x):
    total = self.variable('totals', 'seen', lambda: jnp.zeros((3,)))
    # The outer norm is constructed first: it is LayerNorm_0, leaves no trace, and takes a number.
    return self.kind(2)(nn.LayerNorm(use_scale=False, use_bias=False)(nn.LayerNorm()(x + total.value)))


class NnxCustom(nnx.Module):
  def __init__(self, rngs):
    self.seen = Total(jnp.zeros(3))
    self.norm1 = nnx.LayerNorm(3, rngs=rngs)
    self.norm2 = nnx.LayerNorm(3, use_scale=False, use_bias=False, rngs=rngs)
    self.kind = nnx.Linear(3, 2, rngs=rngs)

  def __call__(self, x):
    return self.kind(self.norm2(self.norm1(x + self.seen)))


CUSTOM = Pair(LinenCustom(), NnxCustom, (
  Leaf('seen', 'totals', ('seen',)), auto('LayerNorm', 'norm2'), auto('LayerNorm', 'norm1'),
  Submodule(None, '?', ('kind',), None)), reversible=False)

PAIRS = {name.lower(): value for name, value in dict(globals()).items() if isinstance(value, Pair)}
