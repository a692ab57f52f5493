"""States: what is accepted, what is left out, and that nothing passes unchecked."""
from __future__ import annotations

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from pairs import CUSTOM, MLP, RECURRENT, SHARED, Pair, auto
from test_pairs import abstract, assert_same, build, numpy

from migrator.manifest import ClassMap, Manifest
from migrator.weights import WeightsError, load, to_linen, to_nnx


def values(state):
  return numpy(nnx.to_pure_dict(state))


def test_frozen_dicts_boxes_and_numpy_arrays_are_accepted():
  variables = MLP.variables()
  want = values(to_nnx(variables, MLP.manifest, 'm:Root', abstract(MLP)))
  boxed = jax.tree.map(lambda leaf: nn.Partitioned(leaf, (None,) * leaf.ndim), variables)
  for given in (flax.core.freeze(variables), boxed, numpy(variables)):
    assert_same(values(to_nnx(given, MLP.manifest, 'm:Root', nnx.state(abstract(MLP)))), want)


class Only(nnx.Module):
  def __init__(self, rngs, dtype=jnp.float32):
    self.only = nnx.Linear(16, 16, param_dtype=dtype, rngs=rngs)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16, jnp.float8_e4m3fn])
def test_every_bit_pattern_survives(dtype):
  random = np.random.default_rng(0)
  kind = jnp.dtype(dtype)
  manifest = Pair(nn.Dense(16), Only, (auto('Dense', 'only'),)).manifest
  bits = np.frombuffer(random.bytes(kind.itemsize * 16 * 17), kind)
  variables = {'params': {'Dense_0': {'bias': bits[:16], 'kernel': bits[16:].reshape(16, 16)}}}
  model = Only(nnx.Rngs(0), dtype)
  load(model, variables, manifest, 'm:Root')
  assert_same(numpy(to_linen(model, manifest, 'm:Root')), variables)


def test_random_streams_are_no_weights():
  state = to_nnx(RECURRENT.variables(), RECURRENT.manifest, 'm:Root', abstract(RECURRENT))
  paths = nnx.to_flat_state(state).paths
  assert paths and not any('rngs' in path for path in paths)
  model = build(RECURRENT)
  before = jax.random.key_data(model.rnn1.rngs.key[...])
  load(model, RECURRENT.variables(), RECURRENT.manifest, 'm:Root')
  assert (jax.random.key_data(model.rnn1.rngs.key[...]) == before).all()


def test_types_of_variables_are_kept():
  state = to_nnx(CUSTOM.variables(), CUSTOM.manifest, 'm:Root', abstract(CUSTOM))
  assert {type(variable).__name__ for _, variable in nnx.to_flat_state(state)} == {'Param', 'Total'}


def test_a_shared_module_stays_one():
  model = build(SHARED)
  load(model, SHARED.variables(), SHARED.manifest, 'm:Root')
  assert model.alias is model.zoom
  assert (model.zoom.kernel[...] == SHARED.variables()['params']['zoom']['kernel']).all()


def test_abstract_values_are_converted_too():
  shapes = jax.eval_shape(lambda: RECURRENT.variables())
  state = to_nnx(shapes, RECURRENT.manifest, 'm:Root', abstract(RECURRENT))
  assert state['rnn1']['cell']['dense_i']['kernel'].get_value().shape == (3, 20)
  assert to_linen(state, RECURRENT.manifest, 'm:Root', shapes) == shapes


def _broken(change):
  variables = numpy(MLP.variables())
  change(variables['params'])
  return variables


@pytest.mark.parametrize('change, problems', [
  (lambda params: params['Dense_0'].update(kernel=np.ones((5, 3), np.float32)),
   ['Linen params/Dense_0/kernel float32[5,3], NNX linear1/kernel float32[3,5]']),
  (lambda params: params['Dense_0'].update(bias=np.ones(5, np.float64)),
   ['Linen params/Dense_0/bias float64[5], NNX linear1/bias float32[5]']),
  (lambda params: params.pop('scale'), ['NNX leaf scale has no Linen counterpart']),
  (lambda params: params.update(more=np.ones(2)), ['Linen leaf params/more has no NNX counterpart']),
  (lambda params: params['Dense_1'].update(bias=np.ones(2)),
   ['Linen leaf params/Dense_1/bias has no NNX counterpart: the model has no linear2/bias'])])
def test_what_does_not_fit_is_named_and_the_model_stays(change, problems):
  model = build(MLP)
  before = values(nnx.state(model, nnx.Param))
  with pytest.raises(WeightsError) as raised:
    load(model, _broken(change), MLP.manifest, 'm:Root')
  assert set(problems) <= set(raised.value.problems)
  assert_same(values(nnx.state(model, nnx.Param)), before)


@pytest.mark.parametrize('variables, match', [
  (3, 'expected a variables dict'), ({'params': jnp.ones(3)}, 'a collection'),
  ({'params': {'a': 'text'}}, 'no array'),
  ({'params': {(1,): jnp.ones(3)}}, 'no text')])
def test_other_inputs_are_refused(variables, match):
  with pytest.raises(WeightsError, match=match):
    to_nnx(variables, MLP.manifest, 'm:Root', abstract(MLP))


def test_templates_are_checked():
  state = to_nnx(RECURRENT.variables(), RECURRENT.manifest, 'm:Root', abstract(RECURRENT))
  other = jax.tree.map(lambda leaf: leaf[..., :2], RECURRENT.variables())
  with pytest.raises(WeightsError, match='template of this very model'):
    to_linen(state, RECURRENT.manifest, 'm:Root', other)


def test_a_bridged_class_keeps_the_linen_names():
  wrapped = nnx.bridge.ToNNX(MLP.linen, rngs=nnx.Rngs(0)).lazy_init(MLP.input())
  manifest = Manifest({'m:Root': ClassMap('m:Root', 'm.py', 1, 'bridged')})
  load(wrapped, MLP.variables(), manifest, 'm:Root')
  assert_same(numpy(wrapped(MLP.input())), numpy(MLP.linen.apply(MLP.variables(), MLP.input())))
  assert_same(numpy(to_linen(wrapped, manifest, 'm:Root')), numpy(MLP.variables()))


def test_a_variable_without_a_collection_is_refused():
  class Stray(nnx.Variable):
    pass

  class Model(nnx.Module):
    def __init__(self):
      self.w = Stray(jnp.ones(2))

  with pytest.raises(WeightsError, match='Stray has no Linen collection|NNX leaf w has no Linen counterpart'):
    to_linen(Model(), MLP.manifest, 'm:Root')
