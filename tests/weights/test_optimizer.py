"""Optimizer state: mapped where it has the structure of the parameters, and training goes on bit for bit."""
from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx, serialization
from flax.training.train_state import TrainState
from pairs import MLP, NESTED, PAIRS, RECURRENT, SETUP
from test_pairs import assert_same, build, numpy

from migrator.weights import WeightsError, load, load_optimizer, map_for, map_optimizer_state
from migrator.weights.plan import plan
from migrator.weights.variables import flatten, leaves


class Signs(NamedTuple):
  """A state of one's own: a moment, its sign at every step so far, a list, and a number."""

  moment: Any
  history: list
  total: jax.Array


def signed_momentum(rate, decay):
  def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return Signs(zeros, [zeros, jnp.zeros((), jnp.int32)], jnp.zeros(()))

  def update(updates, state, params=None):
    moment = jax.tree.map(lambda m, g: decay * m + g, state.moment, updates)
    signs = jax.tree.map(lambda before, m: before + jnp.sign(m), state.history[0], moment)
    total = state.total + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(updates))
    return (jax.tree.map(lambda m, s: -rate * (m + 1e-3 * s), moment, signs),
            Signs(moment, [signs, state.history[1] + 1], total))

  return optax.GradientTransformation(init, update)


def kernels(params):
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def kinds(params):
  return jax.tree.map(lambda leaf: 'matrix' if leaf.ndim > 1 else 'vector', params)


TRANSFORMS = {
  'adamw': lambda: optax.adamw(1e-2),
  'schedule': lambda: optax.adamw(optax.cosine_decay_schedule(1e-2, 20)),
  'momentum': lambda: optax.sgd(1e-2, momentum=0.9),
  'chain': lambda: optax.chain(optax.clip(0.1), optax.adam(1e-2, mu_dtype=jnp.bfloat16)),
  'masked': lambda: optax.chain(optax.masked(optax.add_decayed_weights(1e-2), kernels),
                                optax.masked(optax.adam(1e-2), kernels), optax.scale(0.5)),
  'multi transform': lambda: optax.multi_transform({'matrix': optax.adamw(1e-2), 'vector': optax.sgd(1e-2, 0.9)}, kinds),
  'hyperparams': lambda: optax.inject_hyperparams(optax.adamw)(learning_rate=1e-2),
  'multi steps': lambda: optax.MultiSteps(optax.adam(1e-2), 2),
  'if finite': lambda: optax.apply_if_finite(optax.adam(1e-2), 3),
  'moving average': lambda: optax.chain(optax.adam(1e-2), optax.ema(0.9)),
  'own state': lambda: signed_momentum(1e-2, 0.9),
}


def trained(pair, transform, steps):
  """The train states of a Linen run, the first one included."""
  variables = pair.variables()
  rest = {name: value for name, value in variables.items() if name != 'params'}
  state = TrainState.create(apply_fn=pair.linen.apply, params=variables['params'], tx=transform)

  def loss(params, rest):
    return (state.apply_fn({'params': params, **rest}, pair.input()) ** 2).mean()

  @jax.jit
  def step(state, rest):  # the statistics are an argument: constants would be folded with other rounding
    return state.apply_gradients(grads=jax.grad(loss)(state.params, rest))

  states = [state]
  for _ in range(steps):
    states.append(step(states[-1], rest))
  return states


def weights_after(pair, variables):
  model = build(pair)
  load(model, variables, pair.manifest, 'm:Root')
  return numpy(nnx.to_pure_dict(nnx.state(model, nnx.Param)))


@functools.partial(nnx.jit, donate_argnums=())
def nnx_step(model, optimizer, inputs):
  optimizer.update(model, nnx.grad(lambda model: (model(inputs) ** 2).mean())(model))


# XLA fuses the two programs with norms differently, so that their last bits part after some more steps.
RUNS = {**{name: (MLP, transform, 20) for name, transform in TRANSFORMS.items()},
        'nested': (NESTED, TRANSFORMS['adamw'], 5), 'setup': (SETUP, TRANSFORMS['adamw'], 5)}


@pytest.mark.parametrize('pair, transform, steps', RUNS.values(), ids=RUNS)
def test_training_goes_on_bit_for_bit(pair, transform, steps):
  states = trained(pair, transform(), 3 + steps)
  rest = {name: value for name, value in pair.variables().items() if name != 'params'}
  variables = {'params': states[3].params, **rest}
  model = build(pair)
  load(model, variables, pair.manifest, 'm:Root')
  optimizer = nnx.Optimizer(model, transform(), wrt=nnx.Param)
  leaf_map = map_for(variables, pair.manifest, 'm:Root', model)
  load_optimizer(optimizer, states[3].opt_state, leaf_map, states[3].step, flatten(variables))
  for _ in range(steps):
    nnx_step(model, optimizer, pair.input())
  assert int(optimizer.step[...]) == 3 + steps
  want = weights_after(pair, {'params': states[3 + steps].params, **rest})
  assert_same(numpy(nnx.to_pure_dict(nnx.state(model, nnx.Param))), want)


@pytest.mark.parametrize('pair', PAIRS.values(), ids=PAIRS)
def test_moments_are_mapped_as_the_parameters(pair):
  variables = pair.variables()
  params = {'params': variables['params']}
  leaf_map = map_for(variables, pair.manifest, 'm:Root', build(pair))
  state = optax.adamw(1e-2).init(variables['params'])
  state = (state[0]._replace(mu=variables['params']), *state[1:])
  live = map_optimizer_state(state, leaf_map, flatten(params))
  assert type(live[0]) is type(state[0])
  assert_same(numpy(live[0].mu), weights_after(pair, variables))
  plain = map_optimizer_state(serialization.to_state_dict(state), leaf_map)
  assert_same(numpy(dict(leaves(plain))), numpy(dict(leaves(live))))


def test_masked_parameters_stay_out():
  variables = MLP.variables()
  model = build(MLP)
  leaf_map = map_for(variables, MLP.manifest, 'm:Root', model)
  state = optax.masked(optax.adamw(1e-2), kernels).init(variables['params'])
  for tree in (state, serialization.to_state_dict(state)):
    mapped = flatten({'x': numpy(serialization.to_state_dict(map_optimizer_state(tree, leaf_map)))})
    moments = {path[-2:] for path in mapped if 'mu' in path}
    assert moments == {('linear1', 'kernel'), ('middle', 'kernel'), ('linear2', 'kernel')}
  optimizer = nnx.Optimizer(model, optax.masked(optax.adamw(1e-2), kernels), wrt=nnx.Param)
  load_optimizer(optimizer, jax.tree.map(lambda leaf: leaf + 3, state), leaf_map)
  assert (optimizer.opt_state.inner_state[0].mu['middle']['kernel'][...] == 3).all()


def _mlp_state():
  variables = MLP.variables()
  state = serialization.to_state_dict(optax.adamw(1e-2).init(variables['params']))
  return map_for(variables, MLP.manifest, 'm:Root', build(MLP)), state


def test_every_missing_moment_is_named():
  leaf_map, state = _mlp_state()
  del state['0']['mu']['middle'], state['0']['nu']['Dense_0']['bias']
  with pytest.raises(WeightsError) as raised:
    map_optimizer_state(state, leaf_map)
  assert raised.value.problems == tuple(f'0/{name} is missing beside other parameters' for name in (
    'mu/middle/bias', 'mu/middle/kernel', 'nu/Dense_0/bias'))


def test_a_moment_too_many_is_named():
  leaf_map, state = _mlp_state()
  state['0']['mu']['Dense_7'] = {'kernel': jnp.ones(3)}
  with pytest.raises(WeightsError, match='0/mu/Dense_0/kernel is named like a parameter'):
    map_optimizer_state(state, leaf_map)


@pytest.mark.parametrize('change, problem', [
  (lambda state: state['0']['mu']['middle'].update(bias=jnp.ones(9)), 'Linen float32[9], NNX float32[4]'),
  (lambda state: state['0']['mu']['middle'].update(bias=np.ones(4, np.float16)), 'Linen float16[4]'),
  (lambda state: state.update({'5': {'count': jnp.ones(())}}), '5/count is only in the Linen'),
  (lambda state: state['0'].pop('count'), '0/count is only in the NNX')])
def test_loading_is_strict(change, problem):
  leaf_map, state = _mlp_state()
  change(state)
  model = build(MLP)
  optimizer = nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)
  with pytest.raises(WeightsError) as raised:
    load_optimizer(optimizer, state, leaf_map)
  assert problem in '\n'.join(raised.value.problems)


def test_factored_statistics_of_concatenated_parameters_are_refused():
  variables = RECURRENT.variables()
  leaf_map = map_for(variables, RECURRENT.manifest, 'm:Root', build(RECURRENT))
  state = optax.adafactor(1e-2, min_dim_size_to_factor=2).init(variables['params'])
  with pytest.raises(WeightsError, match='no exact counterpart'):
    map_optimizer_state(state, leaf_map, flatten({'params': variables['params']}))


def test_a_whole_train_state_is_planned():
  variables = MLP.variables()
  state = trained(MLP, optax.adamw(1e-2), 1)[-1]
  tree = {**serialization.to_state_dict(state), 'ema': variables['params'], 'rate': np.float32(0.5)}
  stored = plan(tree, MLP.manifest, None).tree()
  assert set(stored) == {'model', 'optimizer', 'ema', 'rate'}
  assert stored['optimizer']['step']['value'].dtype == np.uint32
  assert set(stored['optimizer']['opt_state']) == {'0'}
  assert_same(numpy(stored['ema']), weights_after(MLP, variables))


@pytest.mark.parametrize('change, match', [
  ({'step': np.float32(1)}, 'no step number'), ({'step': -1}, 'no step number'),
  ({'model': 3}, "entry 'model'"), ({'params': 3}, 'collection'), ({'note': b'text'}, 'bytes is no array')])
def test_odd_train_states_are_refused(change, match):
  state = serialization.to_state_dict(trained(MLP, optax.adamw(1e-2), 0)[-1])
  with pytest.raises(WeightsError, match=match):
    plan({**state, **change}, MLP.manifest, None)
