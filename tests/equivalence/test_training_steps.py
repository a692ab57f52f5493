"""Training side by side: what rounding does to Linen alone is no alarm, anything more is."""
from __future__ import annotations

import numpy as np
import pytest
from check_pairs import entry, manifest, named, write

from migrator.equivalence import Case
from migrator.equivalence.parts import CaseRun
from migrator.equivalence.process import WorkerProcess
from migrator.equivalence.rounding import MOVED, own_spread
from migrator.equivalence.training_steps import STEPS, compared

LOSSES, KERNEL = ('losses',), ('params', 'kernel')
RUN = {LOSSES: np.array([3.0, 2.0, 1.0]), KERNEL: np.array([0.5, -0.5])}

LINEN = """
from flax import linen as nn


class Net(nn.Module):
  @nn.compact
  def __call__(self, x, train: bool = False):
    q, k = nn.Dense(4, name='query')(x), nn.Dense(4, name='key')(x)
    return nn.Dense(3, name='out')(nn.softmax(q @ k.T, axis=-1) @ x)
"""
# The keys' bias adds the same to a whole row before softmax: its gradient is zero, but for rounding.
NNX = """
from flax import nnx
import jax.numpy as jnp


class Net(nnx.Module):
  def __init__(self, *, in_features: int, rngs: nnx.Rngs):
    self.query = nnx.Linear(in_features, 4, rngs=rngs)
    self.key = nnx.Linear(in_features, 4, rngs=rngs)
    self.out = nnx.Linear(in_features, 3, rngs=rngs)

  def __call__(self, x, train: bool = False):
    q, k = self.query(x), self.key(x)
    s = q @ k.T
    s = jnp.exp(s - 1.0)
    return self.out((s @ x) / s.sum(-1, keepdims=True))
"""
MISTAKES = {
  'gradient stopped': ('q, k = self.query(x), self.key(x)', 'q, k = jax.lax.stop_gradient(self.query(x)), self.key(x)'),
  'a factor of 1.001': ('return self.out(', 'return 1.001 * self.out('),
  'a bias not trained': ('self.out((s', 'jax.lax.stop_gradient(self.out.bias[...]) + (lambda x: x @ self.out.kernel[...])((s'),
}


@pytest.fixture(scope='module')
def sides(tmp_path_factory):
  linen, nnx = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  texts = {'right': NNX, **{name: NNX.replace(*edit) for name, edit in MISTAKES.items()}}
  entries = []
  for k, text in enumerate(texts.values()):
    write(linen, {f'net_{k}.py': LINEN})
    write(nnx, {f'net_{k}.py': f'import jax\n{text}'})
    entries.append(entry(f'net_{k}:Net', *(named(name, name, 'flax.linen.Dense') for name in ('query', 'key', 'out'))))
  with WorkerProcess('linen', linen) as one, WorkerProcess('nnx', nnx) as other:
    yield dict(zip(texts, range(len(texts)))), manifest(*entries), one, other


def steps_of(sides, name, **more):
  numbers, known, one, other = sides
  case = Case(name, f'net_{numbers[name]}:Net', inputs=('f32[5,6]',), train={'train': True}, optimizer='optax.adam(1e-3)')
  parts = CaseRun(case, known, one, other, 300, STEPS, **more).result().parts
  return parts[-1]


def test_a_gradient_that_is_zero_but_for_rounding_is_no_alarm(sides):
  part = steps_of(sides, 'right')
  assert part.name == '20 training steps' and part.verdict == 'close', part
  assert any('Linen alone' in note and 'key/bias' in note for note in part.notes), part.notes
  # It would be one without a measure of what rounding does.
  assert max(leaf.max_abs for leaf in part.worst) > 1e-4


@pytest.mark.parametrize('name', list(MISTAKES))
def test_mistakes_are_still_seen(sides, name):
  part = steps_of(sides, name)
  assert part.verdict == 'differs', part
  assert not part.worst[0].path.endswith('key/bias')


def test_spread_is_the_largest_distance():
  assert own_spread(RUN, [RUN, {LOSSES: RUN[LOSSES] + 0.25, KERNEL: np.array([0.5, 0.5])}]) == {LOSSES: 0.25, KERNEL: 1.0}
  apart = {LOSSES: np.array([3.0, np.inf, np.nan]), KERNEL: RUN[KERNEL]}
  assert own_spread(RUN, [apart]) == {LOSSES: np.inf, KERNEL: 0.0}


@pytest.mark.parametrize('beyond, verdict', [(0.9, 'close'), (2.5, 'differs')])
def test_twice_the_spread_is_the_limit(beyond, verdict):
  moved = {LOSSES: RUN[LOSSES], KERNEL: RUN[KERNEL] + 0.1}
  found = {LOSSES: RUN[LOSSES], KERNEL: RUN[KERNEL] - 0.1 * beyond}
  part = compared('steps', RUN, found, 1e-5, (), [moved])
  assert part.verdict == verdict
  assert (part.needed == 0.0) is (verdict == 'close')
  assert len(MOVED) >= 2


def test_what_a_proof_explains_is_not_called_different():
  found = {LOSSES: RUN[LOSSES], KERNEL: RUN[KERNEL] - 0.4}
  moved = [{LOSSES: RUN[LOSSES], KERNEL: RUN[KERNEL] + 0.1}]
  part = compared('steps', RUN, found, 1e-5, (), moved, is_proved=True)
  assert part.verdict == 'not compared' and 'proved' in part.reason and 'kernel' in part.reason
  assert compared('steps', RUN, {LOSSES: RUN[LOSSES]}, 1e-5, (), moved, is_proved=True).verdict == 'differs'


def test_a_model_that_rounding_lets_diverge_tells_nothing():
  run = {LOSSES: np.array([3.0, 4.0, 5.0]), KERNEL: RUN[KERNEL]}
  diverged = {LOSSES: np.array([3.0, np.inf, np.nan]), KERNEL: RUN[KERNEL]}
  assert compared('steps', run, diverged, 1e-5, (), [diverged]).verdict == 'close'
  assert compared('steps', run, diverged, 1e-5, (), [run]).verdict == 'differs'
