"""Random keys: what Linen drew is what NNX gets, in loops and stacks too; where not, the report says so."""
from __future__ import annotations

import hashlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from check_pairs import auto, entry, manifest, named, write
from flax import nnx

from migrator.equivalence import Case, Checker
from migrator.equivalence.linen_keys import KeyLog, constant_keys, watched_keys
from migrator.equivalence.nnx_keys import ReplayStream
from migrator.manifest import Loop, Submodule

LINEN = """
from flax import linen as nn
import jax


class Layer(nn.Module):
  @nn.compact
  def __call__(self, x, _=None):
    x = nn.Dense(4)(x)
    return nn.Dropout(0.5, deterministic=False)(x), None


class Twice(nn.Module):
  @nn.compact
  def __call__(self, x):
    drop = nn.Dropout(0.5, deterministic=False)
    return drop(nn.Dense(4)(drop(x)))


class Noise(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.Dense(4)(x) + jax.random.normal(self.make_rng('noise'), x.shape)
    return x * jax.random.uniform(self.make_rng('noise'), x.shape)


class Stack(nn.Module):
  @nn.compact
  def __call__(self, x):
    split = {'params': True, 'dropout': True}
    layers = nn.scan(Layer, variable_axes={'params': 0}, split_rngs=split, length=3)
    return layers(name='layers')(x, None)[0]


class Named(nn.Module):
  @nn.compact
  def __call__(self, x):
    for i in range(12):
      x = nn.Dropout(0.5, deterministic=False, name=f'drop_{i}')(x)
      x, _ = Layer(name=f'layer_{i}')(x)
    return x


class Attention(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.MultiHeadDotProductAttention(2, dropout_rate=0.5, deterministic=False)(x, x)


class Lost(Twice):
  pass


class Unmapped(Twice):
  pass


class Quiet(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(4)(x)
"""

NNX = """
from flax import nnx
import jax


class Layer(nnx.Module):
  def __init__(self, *, in_features, rngs):
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)

  def __call__(self, x):
    return self.dropout(self.linear(x))


class Twice(nnx.Module):
  def __init__(self, *, in_features, rngs):
    self.drop = nnx.Dropout(0.5, rngs=rngs)
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)

  def __call__(self, x):
    return self.drop(self.linear(self.drop(x)))


class Noise(nnx.Module):
  def __init__(self, *, in_features, rngs):
    self.rngs = rngs
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)

  def __call__(self, x):
    x = self.linear(x) + jax.random.normal(self.rngs.noise(), x.shape)
    return x * jax.random.uniform(self.rngs.noise(), x.shape)


class Stack(nnx.Module):
  def __init__(self, *, in_features, rngs):
    make = nnx.split_rngs(splits=3)(nnx.vmap(lambda rngs: Layer(in_features=in_features, rngs=rngs)))
    self.layers = make(rngs)

  def __call__(self, x):
    return nnx.scan(lambda x, layer: layer(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.layers)


class Named(nnx.Module):
  def __init__(self, *, in_features, rngs):
    self.drop = nnx.List([nnx.Dropout(0.5, rngs=rngs) for _ in range(12)])
    self.layer = nnx.List([Layer(in_features=4, rngs=rngs) for _ in range(12)])

  def __call__(self, x):
    for drop, layer in zip(self.drop, self.layer):
      x = layer(drop(x))
    return x


class Attention(nnx.Module):
  def __init__(self, *, in_features, rngs):
    self.attention = nnx.MultiHeadAttention(
        2, in_features, dropout_rate=0.5, decode=False, deterministic=False, rngs=rngs)

  def __call__(self, x):
    return self.attention(x, x)


class Lost(Twice):
  def __call__(self, x):
    return self.linear(self.drop(x))


class Unmapped(Twice):
  pass


class Quiet(nnx.Module):
  def __init__(self, *, in_features, rngs):
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)

  def __call__(self, x):
    return self.dropout(self.linear(x))
"""

LAYER = entry('zoo:Layer', auto('Dense', 'linear'), auto('Dropout', 'dropout'))
TWICE = (auto('Dropout', 'drop'), auto('Dense', 'linear'))
DROPS = Submodule(('drop_{}',), None, ('drop', '*'), 'flax.linen.Dropout')
LAYERS = Submodule(('layer_{}',), None, ('layer', '*'), 'zoo:Layer')
MANIFEST = manifest(
  LAYER, entry('zoo:Twice', *TWICE), entry('zoo:Noise', auto('Dense', 'linear')),
  entry('zoo:Stack', named('layers', 'layers', 'zoo:Layer')), entry('zoo:Named', Loop((DROPS, LAYERS))),
  entry('zoo:Attention', auto('MultiHeadDotProductAttention', 'attention')), entry('zoo:Lost', *TWICE),
  entry('zoo:Unmapped', auto('Dense', 'linear')), entry('zoo:Quiet', auto('Dense', 'linear')))


@pytest.fixture(scope='module')
def checker(tmp_path_factory):
  linen, nnx_root = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  with Checker(MANIFEST, write(linen, {'zoo.py': LINEN}), write(nnx_root, {'zoo.py': NNX})) as checker:
    yield checker


def train(checker, name: str, **changes):
  case = Case(name, f'zoo:{name}', inputs=('f32[5,4]',), eval=None, train={}, rngs=('dropout', 'noise'),
              **changes)
  result = checker.check(case)
  assert not result.failure, result.failure
  return result, {part.name: part for part in result.parts}


@pytest.mark.parametrize('name, draws', [('Twice', 1), ('Noise', 1), ('Stack', 1), ('Named', 24)])
def test_masks_are_the_same_bits(checker, name, draws):
  result, parts = train(checker, name)
  assert parts['train'].verdict == parts['train gradient of params'].verdict == 'bitwise', result
  assert parts['train'].notes == (f'random keys: {draws} of Linen replayed',)


def test_attention_dropout_is_aligned(checker):
  _, parts = train(checker, 'Attention', gradients=False)
  assert parts['train'].passed and 'replayed' in parts['train'].notes[0]


@pytest.mark.parametrize('name, why', [
  ('Lost', 'was drawn 1 times, Linen drew 2 times'), ('Quiet', 'was drawn 1 times, Linen drew 0 times')])
def test_a_lost_or_added_draw_is_a_difference_and_said(checker, name, why):
  result, parts = train(checker, name)
  assert parts['train'].verdict == 'differs' and result.exit_code == 1
  assert 'not aligned' in parts['train'].notes[0] and why in parts['train'].notes[0]


def test_unknown_counterpart_falls_back_to_one_key_and_says_so(checker):
  result, parts = train(checker, 'Unmapped')
  assert result.exit_code == 0 and parts['train'].verdict == 'bitwise'
  assert 'every draw used one same key' in parts['train'].notes[0] and 'Dropout_0' in parts['train'].notes[0]


def linen_key(root, path, count):
  """The key Linen derives for draw `count` (from 1) of a module, written down independently."""
  text = ''.join(path).encode() + count.to_bytes((count.bit_length() + 7) // 8, 'big')
  return jax.random.fold_in(root, jnp.uint32(int.from_bytes(hashlib.sha1(text).digest()[:4], 'big')))


class Inner(nn.Module):
  @nn.compact
  def __call__(self, x, _=None):
    drop = nn.Dropout(0.5, deterministic=False)
    return drop(drop(x)), None


class Outer(nn.Module):
  @nn.compact
  def __call__(self, x):
    x, _ = nn.remat(Inner)()(x)
    x, _ = nn.scan(Inner, split_rngs={'dropout': True}, length=3)()(x, None)
    return nn.jit(Inner)()(x)[0]


def watched(module, x, root):
  log = KeyLog()
  with watched_keys(log):
    jax.block_until_ready(jax.jit(lambda: module.apply({}, x, rngs={'dropout': root}))())
  return log.draws()


def test_watched_keys_are_those_of_the_formula():
  root = jax.random.key(5)
  draws = watched(Outer(), jnp.ones((2, 3)), root)
  remat, scan, jitted = ((name, 'Dropout_0') for name in ('CheckpointInner_0', 'ScanInner_0', 'JitInner_0'))
  assert draws.keys() == {(remat, 'dropout'), (scan, 'dropout'), (jitted, 'dropout')}
  want = [jax.random.key_data(linen_key(root, remat, count)) for count in (1, 2)]
  assert np.array_equal(draws[remat, 'dropout'][0], want)
  # The body of a scan is traced twice, so its counter starts behind the draws of one pass.
  want = [[jax.random.key_data(linen_key(part, scan, count)) for count in (3, 4)]
          for part in jax.random.split(root, 3)]
  assert np.array_equal(draws[scan, 'dropout'], want)


def test_replay_gives_real_linen_masks():
  x, root = jnp.ones((4, 5)), jax.random.key(5)
  module = nn.Dropout(0.5, deterministic=False)
  keys = jax.random.wrap_key_data(watched(module, x, root)[(), 'dropout'][0])
  drop = nnx.Dropout(0.5)
  drop.rngs = ReplayStream.of_keys(keys, 'dropout')
  masked = nnx.jit(lambda drop, x: drop(x))(drop, x)
  assert (masked == module.apply({}, x, rngs={'dropout': root})).all()
  assert drop.rngs.count[...] == 1


def test_make_rng_is_restored():
  before = nn.Module.make_rng
  with pytest.raises(ZeroDivisionError), constant_keys(jax.random.key(0)):
    raise ZeroDivisionError
  assert nn.Module.make_rng is before


def test_draws_of_a_case_without_streams_are_said(checker):
  case = Case('Quiet', 'zoo:Quiet', inputs=('f32[5,4]',), gradients=False)
  part = next(part for part in checker.check(case).parts if part.name == 'eval')
  assert part.verdict == 'differs' and 'Linen drew 0 times' in part.notes[0]
