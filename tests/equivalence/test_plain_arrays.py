"""Plain arrays among the attributes of an NNX model are constants of its program: proved, compared, and told."""
from __future__ import annotations

import pytest
from check_pairs import auto, entry, manifest, write

from migrator.equivalence import Case, Checker

LINEN = """
from flax import linen as nn
import jax.numpy as jnp


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(x) * jnp.array([1.0, 2.0, 3.0])
"""
NNX = """
from flax import nnx
import jax.numpy as jnp


class Net(nnx.Module):
  def __init__(self, *, in_features: int, rngs: nnx.Rngs):
    self.linear = nnx.Linear(in_features, 3, rngs=rngs)
    self.table = jnp.array([1.0, 2.0, 3.0])

  def __call__(self, x):
    return self.linear(x) * self.table
"""
TEXTS = {
  'right': NNX,
  'in a list': NNX.replace('self.table = jnp.array([1.0, 2.0, 3.0])', 'self.tables = nnx.List([jnp.array([1.0, 2.0, 3.0])])')
                  .replace('self.table', 'self.tables[0]').replace('self.tables[0]s', 'self.tables'),
  'another number': NNX.replace('3.0', '3.5'),
  'changed by the call': NNX.replace('return ', 'self.table = self.table + 1\n    return ').replace('* self.table', '* (self.table - 1)'),
}


@pytest.fixture(scope='module')
def results(tmp_path_factory):
  linen, nnx = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  for k, text in enumerate(TEXTS.values()):
    write(linen, {f'net_{k}.py': LINEN})
    write(nnx, {f'net_{k}.py': text})
  known = manifest(*(entry(f'net_{k}:Net', auto('Dense', 'linear')) for k in range(len(TEXTS))))
  with Checker(known, linen, nnx) as checker:
    return {name: checker.check(Case(name, f'net_{k}:Net', inputs=('f32[2,4]',))) for k, name in enumerate(TEXTS)}


@pytest.mark.parametrize('name', ['right', 'in a list'])
def test_they_are_proved_and_compared(results, name):
  result = results[name]
  assert result.exit_code == 0
  assert {proof.verdict.level for proof in result.proofs} == {'L0'}
  assert {part.verdict for part in result.parts if part.name != 'train'} == {'bitwise'}
  words = ' '.join(result.proofs[0].assumptions)
  assert 'constructed with its numbers' in words and 'table' in words


def test_another_number_differs(results):
  result = results['another number']
  assert result.exit_code == 1
  assert {proof.mode: proof.verdict.level for proof in result.proofs}['eval'] == 'differs'
  assert {part.name: part.verdict for part in result.parts}['eval'] == 'differs'


def test_one_that_a_call_changes_is_told(results):
  states = [part for part in results['changed by the call'].parts if part.name == 'eval state']
  assert states and states[0].verdict == 'differs' and 'table' in states[0].reason
