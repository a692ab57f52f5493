"""Real models of both libraries: converted weights give the same bits, and converting back is identity."""
from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx
from pairs import PAIRS

from migrator.weights import load, to_linen, to_nnx
from migrator.weights.composition import compose
from migrator.weights.nnx_leaves import weights
from migrator.weights.variables import flatten

CASES = [pytest.param(pair, id=name) for name, pair in PAIRS.items()]


def build(pair):
  return pair.nnx(nnx.Rngs(params=0, dropout=1, carry=2))


def abstract(pair):
  return nnx.eval_shape(lambda: build(pair))


def assert_same(left, right):
  assert jax.tree.structure(left) == jax.tree.structure(right)
  for (path, a), b in zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True):
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), path


def numpy(tree):
  return jax.tree.map(np.asarray, tree)


@pytest.mark.parametrize('pair', CASES)
def test_same_output_bit_for_bit(pair):
  variables, model = pair.variables(), build(pair)
  load(model, variables, pair.manifest, 'm:Root')
  assert_same(numpy(model(pair.input())), numpy(pair.linen.apply(variables, pair.input())))


@pytest.mark.parametrize('pair', CASES)
def test_there_and_back_is_identity(pair):
  variables = numpy(pair.variables())
  state = to_nnx(variables, pair.manifest, 'm:Root', abstract(pair))
  assert_same(numpy(to_linen(state, pair.manifest, 'm:Root', variables)), variables)


@pytest.mark.parametrize('pair', [case for case in CASES if case.values[0].reversible])
def test_back_without_a_template(pair):
  variables = numpy(pair.variables())
  state = to_nnx(variables, pair.manifest, 'm:Root', abstract(pair))
  assert_same(numpy(to_linen(state, pair.manifest, 'm:Root')), variables)


@pytest.mark.parametrize('pair', CASES)
def test_the_tree_alone_gives_the_map_the_model_gives(pair):
  paths, model = flatten(pair.variables()), abstract(pair)
  with_model = compose(pair.manifest, 'm:Root', paths, weights(model))
  assert compose(pair.manifest, 'm:Root', paths).rules == with_model.rules
