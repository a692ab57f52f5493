"""Linen modules that use classes which became NNX: initialise, apply, train, with the numbers of Linen."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.codemod.bridge_repository import FOLDER, imported, migrated_tree, outcomes, renamed

NAMES = {'Dense_0': 'linear1', 'BatchNorm_0': 'batch_norm', 'Dense_1': 'linear2'}


@pytest.fixture(scope='module')
def down(tmp_path_factory):
  root, result = migrated_tree(FOLDER / 'down', tmp_path_factory.mktemp('down') / 'repository')
  assert outcomes(result) == {'Block': 'native', 'Coder': 'native', 'Compact': 'left', 'Setup': 'left'}
  with imported(FOLDER / 'down', 'model', 'layers') as (before, _):
    pass
  with imported(root, 'model', 'layers') as (after, layers):
    yield before, after, layers


def inputs():
  return jax.random.normal(jax.random.key(1), (4, 6))


@pytest.mark.parametrize('name', ['Compact', 'Setup'])
def test_same_numbers_with_the_same_weights(down, name):
  before, after, _ = down
  old, new = getattr(before, name)(), getattr(after, name)()
  variables = jax.tree.map(lambda leaf: leaf + 0.1, old.init(jax.random.key(0), inputs()))
  same = renamed(variables, NAMES)
  assert jax.tree.structure(same) == jax.tree.structure(new.init(jax.random.key(0), inputs()))
  np.testing.assert_array_equal(old.apply(variables, inputs()), new.apply(same, inputs()))


def test_training_updates_the_same_statistics(down):
  before, after, _ = down
  old, new = before.Compact(), after.Compact()
  variables = old.init(jax.random.key(0), inputs())
  expected, updates = old.apply(variables, inputs(), train=True, mutable=['batch_stats'])
  result, changed = jax.jit(lambda v: new.apply(v, inputs(), train=True, mutable=['batch_stats']))(
    renamed(variables, NAMES)
  )
  np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), changed, renamed(updates, NAMES)
  )


def test_initialization_in_training_mode_keeps_statistics(down):
  _, after, _ = down
  variables = after.Compact().init(
    {'params': jax.random.key(0), 'dropout': jax.random.key(1)}, inputs(), train=True
  )
  assert all(
    (leaf == 0).all()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables['batch_stats'])
    if path[-1].key == 'mean'
  )


def test_same_gradients(down):
  before, after, _ = down
  old, new = before.Setup(), after.Setup()
  variables = old.init(jax.random.key(0), inputs())

  def gradient(model, values):
    return jax.grad(lambda params: (model.apply({**values, 'params': params}, inputs()) ** 2).sum())(
      values['params']
    )

  expected = renamed(gradient(old, variables), NAMES)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    gradient(new, renamed(variables, NAMES)),
    expected,
  )


def test_dropout_follows_the_key(down):
  _, after, _ = down
  model = after.Compact(rate=0.5)
  variables = model.init(jax.random.key(0), inputs())
  first, again, other = (
    model.apply(
      variables, inputs(), train=True, mutable=['batch_stats'], rngs={'dropout': jax.random.key(seed)}
    )[0]
    for seed in (1, 1, 2)
  )
  assert (first == again).all() and not (first == other).all()


def test_methods_as_root(down):
  _, _, layers = down
  from importlib import import_module

  as_linen = import_module('nnx_helpers').as_linen
  face = as_linen(layers.Coder, in_features=('x', -1))
  assert face is as_linen(layers.Coder, in_features=('x', -1))
  model = face(3)
  variables = model.init(jax.random.key(0), inputs())
  latent = model.apply(variables, inputs(), method='encode')
  np.testing.assert_array_equal(
    model.apply(variables, latent, method=face.decode), model.apply(variables, inputs())
  )


def test_a_missing_variable_is_an_error(down):
  _, after, _ = down
  model = after.Compact()
  variables = model.init(jax.random.key(0), inputs())
  with pytest.raises(ValueError, match='batch_stats/batch_norm/mean'):
    model.apply({'params': variables['params']}, inputs())


def test_lifted_over_a_new_axis(down):
  from flax import linen as nn

  _, after, _ = down
  lifted = nn.vmap(
    after.Setup, in_axes=0, variable_axes={'params': 0, 'batch_stats': 0}, split_rngs={'params': True}
  )()
  variables = lifted.init(jax.random.key(0), jnp.stack([inputs()] * 3))
  assert {leaf.shape[0] for leaf in jax.tree.leaves(variables)} == {3}
