"""assert_equivalent: a port made by hand, checked in the user's own test, without manifest."""
from __future__ import annotations

from pathlib import Path

import impala_port
import jax
import jax.numpy as jnp
import optax
import port_models
import pytest
from flax import linen as nn
from flax import nnx
from port_models import LeakyBlock, NnxViT, ViT, images

from migrator.equivalence import assert_equivalent


class Net(nn.Module):
  @nn.compact
  def __call__(self, x, train: bool = False):
    x = nn.Dense(32, kernel_init=nn.initializers.normal(0.5))(x)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = nn.Dropout(0.25)(x, deterministic=not train)
    return nn.Dense(6, name='out')(jnp.tanh(x))


class Port(nnx.Module):
  """The flag has another name here."""

  def __init__(self, *, rate: float = 0.25, std: float = 0.5, rngs: nnx.Rngs):
    self.inner = nnx.Linear(4, 32, kernel_init=nnx.initializers.normal(std), rngs=rngs)
    self.norm = nnx.BatchNorm(32, momentum=0.9, rngs=rngs)
    self.drop = nnx.Dropout(rate, rngs=rngs)
    self.out = nnx.Linear(32, 6, rngs=rngs)

  def __call__(self, x, *, deterministic: bool = True):
    x = self.norm(self.inner(x), use_running_average=deterministic)
    return self.out(self.act(self.drop(x, deterministic=deterministic)))

  def act(self, x):
    return jnp.tanh(x)


X = jax.ShapeDtypeStruct((3, 4), jnp.float32)


def verdicts(result):
  return {part.name: part.verdict for part in result.parts}


def test_a_right_port_passes_in_every_part():
  model = Port(rngs=nnx.Rngs(0))
  before = [leaf.copy() for leaf in jax.tree.leaves(nnx.state(model, nnx.Param, nnx.BatchStat))]
  result = assert_equivalent(Net(), model, X, numerics='exact')
  found = verdicts(result)
  assert {'eval', 'train', 'train state', 'train gradient of params', 'train gradient of inputs'} <= {
    name for name, verdict in found.items() if verdict == 'bitwise'}
  assert found['initial values'] == 'close'
  assert 'random keys: 1 of Linen replayed' in [note for part in result.parts for note in part.notes]
  after = jax.tree.leaves(nnx.state(model, nnx.Param, nnx.BatchStat))
  assert all((one == other).all() for one, other in zip(before, after, strict=True)), "the user's module changed"


def test_a_right_port_is_proved_in_every_mode():
  result = assert_equivalent(Net(), lambda rngs: Port(rngs=rngs), X, numerics='exact')
  proved = {proof.mode: proof.verdict for proof in result.proofs}
  assert set(proved) >= {'weights', 'eval', 'train', 'train state', 'gradient', 'step', 'init', 'keys'}
  assert set(proved.values()) == {'same program'}


def test_a_wrong_rate_is_seen_in_training():
  with pytest.raises(AssertionError, match='train: differs'):
    assert_equivalent(Net(), Port(rate=0.3, rngs=nnx.Rngs(0)), X, gradients=False, initializers=False)


def test_initial_values_are_compared():
  with pytest.raises(AssertionError, match=r'initial values: differs: params/Dense_0/kernel: mean'):
    assert_equivalent(Net(), Port(std=0.1, rngs=nnx.Rngs(0)), X, modes={'eval': {'train': False}}, gradients=False)


def test_exact_refuses_what_rounds_differently():
  class Rounds(Port):
    def act(self, x):
      return jnp.tanh(x) * (1 + x) - jnp.tanh(x) * x

  options = {'modes': {'eval': {'train': False}}, 'gradients': False, 'initializers': False}
  result = assert_equivalent(Net(), Rounds(rngs=nnx.Rngs(0)), X, **options)
  assert verdicts(result)['eval'] == 'close'
  assert {proof.mode: proof.verdict for proof in result.proofs}['eval'] == 'same real function'
  with pytest.raises(AssertionError, match='eval: close'):
    assert_equivalent(Net(), Rounds(rngs=nnx.Rngs(0)), X, numerics='exact', **options)


def line_of(text: str) -> int:
  lines = Path(port_models.__file__).read_text(encoding='utf-8').splitlines()
  return next(number for number, line in enumerate(lines, 1) if text in line)


def test_three_mistakes_are_found_and_named_with_lines_in_one_run():
  def port(rngs):
    model = NnxViT(depth=2, rngs=rngs)
    model.encoder.layers[0].norm2 = nnx.LayerNorm(8, epsilon=1e-5, rngs=rngs)
    model.encoder.layers[1] = LeakyBlock(8, 2, rngs=rngs)
    model.stem_norm = nnx.BatchNorm(8, momentum=0.99, rngs=rngs)
    return model

  with pytest.raises(AssertionError) as caught:
    assert_equivalent(ViT(depth=2), port, images(), numbers=False)
  lines = [line for line in str(caught.value).splitlines() if line.startswith('  Linen ')]
  # The gradient has the wrong activation at its other end too.
  named = [line for line in lines if not line.endswith(' [gradient]')]
  assert all('encoder/layers/1/wide' in line for line in lines if line not in named)
  file = Path(port_models.__file__).name
  places = {'encoder/layers/0/norm2': 'x + self.narrow', 'encoder/layers/1/drop2': 'approximate=False',
            'stem_norm': 'x = self.stem_norm'}
  found = {line.partition('| NNX ')[2].split(' ')[0]: line for line in named}
  assert set(found) == set(places), str(caught.value)
  for place, text in places.items():
    assert f'{file}:{line_of(text)})' in found[place].partition('| NNX')[2], found[place]
  assert 'epsilon' in found['encoder/layers/0/norm2'] and 'wiring' in found['encoder/layers/1/drop2']
  assert 'factor' in found['stem_norm']


def test_three_slips_in_the_port_of_an_agent_are_found_and_named_with_lines_in_one_run():
  result = assert_equivalent(impala_port.Agent(), lambda rngs: impala_port.NnxAgent(rngs=rngs), impala_port.frames(),
                             numerics='exact', numbers=False)
  assert {str(proof.verdict) for proof in result.proofs} == {'same program'}
  with pytest.raises(AssertionError) as caught:
    assert_equivalent(impala_port.Agent(), lambda rngs: impala_port.NnxAgent(slips=True, rngs=rngs), impala_port.frames())
  text = str(caught.value)
  lines = [line.partition('| NNX ')[2] for line in text.splitlines() if line.startswith('  Linen ') and '[eval' in line]
  # The pooling is a part of its stack, which hands it to both of its blocks.
  places = {'(root)': 'mean over the batch too', 'first/blocks/0/conv2': 'relu between the convolutions',
            'second': 'mean instead of maximum', 'second/blocks/0/conv1': 'mean instead of maximum',
            'second/blocks/1/conv1': 'mean instead of maximum'}
  assert {line.split(' ')[0] for line in lines} == set(places), text
  source = Path(impala_port.__file__).read_text(encoding='utf-8').splitlines()
  for line in lines:
    number = next(k for k, words in enumerate(source, 1) if f'# slip: {places[line.split(" ")[0]]}' in words)
    assert f'impala_port.py:{number})' in line, text
  assert 'eval: differs' in text and 'gradient of params: differs' in text


CHAINS = {'sgd': optax.sgd(0.1), 'clipped': optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-2))}


@pytest.mark.parametrize('name', list(CHAINS))
def test_the_step_of_a_given_optimizer_is_proved_or_run(name):
  options = {'optimizer': CHAINS[name], 'initializers': False, 'extra_inputs': False}
  result = assert_equivalent(Net(), Port(rngs=nnx.Rngs(0)), X, **options)
  step = {proof.mode: proof.verdict for proof in result.proofs}['step']
  assert step.is_equal and ('20 training steps' in verdicts(result)) is not step.is_exact
  with pytest.raises(AssertionError, match=r'step \(proof\): differs'):
    assert_equivalent(Net(), Port(rngs=nnx.Rngs(0)), X, nnx_optimizer=optax.sgd(0.2), **options)


def test_a_right_port_of_many_blocks_is_proved_without_numbers():
  result = assert_equivalent(ViT(), lambda rngs: NnxViT(rngs=rngs), images(), numbers=False, numerics='exact')
  proved = {proof.mode: str(proof.verdict) for proof in result.proofs}
  assert set(proved.values()) == {'same program'} and {'gradient', 'init', 'keys', 'step', 'train'} <= set(proved)
  assert not result.parts and len(result.modules) > 20


@pytest.mark.parametrize('change, words', [
    ({'numerics': 'loose'}, 'choose one of idiomatic, exact'), ({'modes': {'test': {}}}, "flags of 'eval'"),
    ({'method': 'encode'}, 'Net has no method encode'),
])
def test_wrong_arguments_are_said(change, words):
  with pytest.raises(ValueError, match=words):
    assert_equivalent(Net(), Port(rngs=nnx.Rngs(0)), X, **change)


def test_sides_are_not_to_be_swapped():
  with pytest.raises(ValueError, match='linen_module is a Port'):
    assert_equivalent(Port(rngs=nnx.Rngs(0)), Net(), X)
