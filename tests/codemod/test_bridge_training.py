"""A training script in the style of Linen runs on after its model became NNX, with the same loss curve."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.codemod.bridge_repository import FOLDER, imported, migrated_tree, renamed

NAMES = {'Dense_0': 'linear1', 'BatchNorm_0': 'batch_norm', 'Dense_1': 'linear2'}


@pytest.fixture(scope='module', params=['argument', 'module'])
def training(tmp_path_factory, request):
  root, _ = migrated_tree(FOLDER / 'training', tmp_path_factory.mktemp('training') / 'repository', request.param)
  with imported(FOLDER / 'training', 'train') as before:
    pass
  with imported(root, 'train') as after:
    yield before, after


def curve(module, state, steps=5):
  x, y = jax.random.normal(jax.random.key(1), (16, 5)), jax.random.randint(jax.random.key(2), (16,), 0, 3)
  losses = []
  for step in range(steps):
    state, loss = module.train_step(state, x, y, jax.random.key(step))
    losses.append(float(loss))
  return losses, module.evaluate(state, x)


def test_same_loss_curve(training):
  before, after = training
  state = before.create_state(jax.random.key(0))
  expected, last = curve(before, state)
  fresh = after.create_state(jax.random.key(0))
  losses, result = curve(
    after, fresh.replace(params=renamed(state.params, NAMES), batch_stats=renamed(state.batch_stats, NAMES))
  )
  np.testing.assert_allclose(losses, expected, rtol=1e-5)
  np.testing.assert_allclose(result, last, rtol=1e-4, atol=1e-5)
  assert losses[-1] < losses[0]


def test_its_own_weights_train_with_dropout(training):
  _, after = training
  net = after.MODELS['small'](rate=0.5)
  losses, _ = curve(after, after.create_state(jax.random.key(0), net))
  assert np.isfinite(losses).all()
