"""NNX modules with members that stay Linen: the same numbers, statistics and gradients."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx

from tests.codemod.bridge_repository import FOLDER, imported, migrated_tree, outcomes, written_tree

NAMES = {'Dense_0': 'linear', 'Noisy_0': 'noisy2_0', 'Noisy_1': 'noisy2_1', 'Plain_0': 'plain'}


@pytest.fixture(scope='module')
def up(tmp_path_factory):
  root, result = migrated_tree(FOLDER / 'up', tmp_path_factory.mktemp('up') / 'repository')
  assert outcomes(result) == {'Noisy': 'bridged', 'Plain': 'bridged', 'Net': 'native'}
  with imported(FOLDER / 'up', 'model') as before:
    pass
  with imported(root, 'model') as after:
    yield before, after


def inputs():
  return jax.random.normal(jax.random.key(1), (4, 3, 5))


def load(model, variables):
  """Writes Linen variables into the NNX model: only the names at the top differ."""
  flat = {}
  for tree in variables.values():
    for path, value in nnx.traversals.flatten_mapping(
      {NAMES.get(key, key): value for key, value in tree.items()}
    ).items():
      head, *rest = path
      name, _, number = head.rpartition('_')
      flat[(name, int(number), *rest) if number.isdigit() else (head, *rest)] = value
  state = nnx.state(model, (nnx.Param, nnx.BatchStat))
  assert set(nnx.to_flat_state(state).paths) == set(flat)
  nnx.update(
    model, nnx.from_flat_state([(path, leaf.replace(flat[path])) for path, leaf in nnx.to_flat_state(state)])
  )


def pair(up, **fields):
  before, after = up
  old = before.Net(**fields)
  variables = jax.tree.map(lambda leaf: leaf + 0.1, old.init(jax.random.key(0), inputs()))
  new = after.Net(**fields, x_shape=inputs().shape, rngs=nnx.Rngs(params=0, dropout=1))
  load(new, variables)
  return old, variables, new


def test_same_numbers_with_the_same_weights(up):
  old, variables, new = pair(up)
  np.testing.assert_array_equal(new(inputs()), old.apply(variables, inputs()))


def test_training_updates_the_same_statistics(up):
  old, variables, new = pair(up)
  expected, updates = old.apply(variables, inputs(), train=True, mutable=['batch_stats'])
  result = nnx.jit(lambda model, x: model(x, train=True))(new, inputs())
  np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(
    new.noisy.BatchNorm_0['mean'][...], updates['batch_stats']['noisy']['BatchNorm_0']['mean'], rtol=1e-5
  )
  np.testing.assert_allclose(
    new.noisy2[1].BatchNorm_0['var'][...], updates['batch_stats']['Noisy_1']['BatchNorm_0']['var'], rtol=1e-5
  )


def test_same_gradients(up):
  old, variables, new = pair(up)
  expected = jax.grad(lambda params: (old.apply({**variables, 'params': params}, inputs()) ** 2).sum())(
    variables['params']
  )
  gradient = nnx.grad(lambda model: (model(inputs()) ** 2).sum())(new)
  np.testing.assert_allclose(
    gradient['noisy']['Dense_0']['kernel'][...], expected['noisy']['Dense_0']['kernel'], rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(
    gradient['linear']['kernel'][...], expected['Dense_0']['kernel'], rtol=1e-4, atol=1e-5
  )


def test_dropout_draws_anew(up):
  _, _, new = pair(up, rate=0.5)
  run = nnx.jit(lambda model, x: model(x, train=True))
  assert not (run(new, inputs()) == run(new, inputs())).all()


def test_abstract_construction(up):
  _, after = up
  model = nnx.eval_shape(lambda: after.Net(x_shape=(2, 5), rngs=nnx.Rngs(0)))
  assert model.noisy.Dense_0['kernel'].shape == (4, 4)


def test_a_model_with_parts_in_linen_has_a_linen_face(up, tmp_path):
  _, after = up
  source = {
    'model.py': (FOLDER / 'up' / 'model.py').read_text(),
    'use.py': 'from model import Net\n\n\ndef make(**fields):\n  return Net(**fields)\n',
  }
  root, _ = migrated_tree(written_tree(tmp_path / 'linen', source), tmp_path / 'nnx')
  saved = {}
  with imported(root, 'use') as use:
    model = use.make(rate=0.5)
    variables = model.init(jax.random.key(0), inputs())
    output, saved = model.apply(
      variables, inputs(), train=True, mutable=['batch_stats'], rngs={'dropout': jax.random.key(2)}
    )
  assert output.shape == (4, 3, 2)
  before, changed = (
    variables['batch_stats']['noisy']['BatchNorm_0']['mean'],
    saved['batch_stats']['noisy']['BatchNorm_0']['mean'],
  )
  assert not (before == changed).all()
