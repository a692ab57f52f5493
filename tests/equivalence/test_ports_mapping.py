"""What is what in a port made by hand: found from shapes, layers and names, or refused with the candidates."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx
from port_models import NnxViT, ViT, images

from migrator.equivalence import AmbiguousMappingError, MappingError
from migrator.equivalence.ports import linen_reading
from migrator.equivalence.ports.infer import infer
from migrator.equivalence.ports.names import split_name
from migrator.weights.variables import flatten


def variables_of(model: nn.Module, *inputs):
  with linen_reading.watched_classes() as classes:
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs))
  return flatten(nn.meta.unbox(variables)), classes


def inferred(linen: nn.Module, model: nnx.Module, *inputs, mapping=None):
  """Returns {NNX path: Linen paths} as texts."""
  found = infer(*variables_of(linen, *inputs), model, mapping)
  return {'/'.join(map(str, rule.nnx)): ['/'.join(path) for path in rule.linen] for rule in found.leaves}


def compact(body):
  """Returns a Linen module whose call is `body(module, x)`."""
  return type('Net', (nn.Module,), {'__call__': nn.compact(body), '__module__': __name__})()


class Held(nnx.Module):
  """An NNX module with the given attributes."""

  def __init__(self, **parts):
    for name, part in parts.items():
      setattr(self, name, part)


def linear(*sizes: int, **options) -> nnx.Linear:
  return nnx.Linear(*sizes, rngs=nnx.Rngs(0), **options)


X = jnp.ones((2, 4))


@pytest.fixture
def port() -> NnxViT:
  return NnxViT(rngs=nnx.Rngs(0))


def test_a_level_more_and_other_names(port):
  found = inferred(ViT(), port, images())
  assert found['encoder/layers/2/narrow/kernel'] == ['params/block_2/Dense_1/kernel']
  assert found['encoder/layers/1/norm1/scale'] == ['params/block_1/LayerNorm_0/scale']
  assert found['position_table'] == ['params/positions'] and found['stem_norm/var'] == ['batch_stats/BatchNorm_0/var']
  assert found['encoder/layers/0/attention/query/bias'] == ['params/block_0/MultiHeadDotProductAttention_0/query/bias']


def test_everything_amiss_is_said_at_once(port):
  port.classifier = linear(8, 3, use_bias=False)
  port.encoder.layers[1].norm2 = nnx.LayerNorm(8, use_bias=False, rngs=nnx.Rngs(0))
  port.encoder.layers[2].wide = linear(8, 17)
  port.extra = nnx.Param(jnp.ones(5))
  with pytest.raises(MappingError) as caught:
    inferred(ViT(), port, images())
  text = str(caught.value)
  assert 'params/head/bias (float32[3]): only Linen has it (head is NNX classifier)' in text
  assert 'params/block_1/LayerNorm_1/bias (float32[8]): only Linen has it' in text
  assert 'NNX encoder/layers/2/wide/kernel (float32[8,17]): other shape' in text
  assert 'extra (float32[5]): only NNX has it' in text
  assert len(caught.value.problems) == 5


def test_same_shapes_without_a_hint_are_ambiguous_and_the_suggestion_works():
  def body(self, x):
    x = nn.Dense(4)(x)
    return nn.Dense(4)(x)

  linen = compact(body)
  model = Held(first=linear(4, 4), second=linear(4, 4))
  with pytest.raises(AmbiguousMappingError, match='Linen Dense_0, Dense_1  may be any of  NNX first, second') as caught:
    inferred(linen, model, X)
  suggested = eval(caught.value.problems[-1].partition('mapping=')[2])
  assert suggested == {'Dense_0': 'first', 'Dense_1': 'second'}
  assert inferred(linen, model, X, mapping=suggested)['second/kernel'] == ['params/Dense_1/kernel']
  assert inferred(linen, model, X, mapping={'Dense_0': 'second'})['second/kernel'] == ['params/Dense_0/kernel']


@pytest.mark.parametrize('names', [('fc1', 'fc2', 'fc3'), ('dense', 'dense_1', 'dense_2'), ('a0', 'a10', 'a11')])
def test_numbered_names_keep_their_order(names):
  linen = compact(lambda self, x: nn.Dense(4)(nn.Dense(4)(nn.Dense(4)(x))))
  found = inferred(linen, Held(**{name: linear(4, 4) for name in names}), X)
  assert [found[f'{name}/kernel'] for name in names] == [[f'params/Dense_{k}/kernel'] for k in range(3)]


def test_more_than_nine_in_a_list():
  def body(self, x):
    for _ in range(11):
      x = nn.Dense(4)(x)
    return x

  found = inferred(compact(body), Held(layers=nnx.List([linear(4, 4) for _ in range(11)])), X)
  assert found['layers/10/kernel'] == ['params/Dense_10/kernel'] and found['layers/2/bias'] == ['params/Dense_2/bias']


def test_layers_of_one_shape_are_told_apart_by_kind():
  linen = compact(lambda self, x: nn.GroupNorm(2)(nn.LayerNorm()(x)))
  rngs = nnx.Rngs(0)
  model = Held(a=nnx.GroupNorm(4, num_groups=2, rngs=rngs), b=nnx.LayerNorm(4, rngs=rngs))
  assert inferred(linen, model, X)['b/scale'] == ['params/LayerNorm_0/scale']


@pytest.mark.parametrize('cell', [nnx.LSTMCell, nnx.OptimizedLSTMCell])
def test_a_cell_of_another_layout(cell):
  linen = compact(lambda self, x: nn.RNN(nn.LSTMCell(6))(x))
  model = Held(rnn=nnx.RNN(cell(4, 6, rngs=nnx.Rngs(0))))
  found = inferred(linen, model, jnp.ones((2, 3, 4)))
  if cell is nnx.LSTMCell:
    assert found['rnn/cell/if_/kernel'] == ['params/LSTMCell_0/if/kernel']
  else:
    assert found['rnn/cell/dense_i/kernel'] == [f'params/LSTMCell_0/i{gate}/kernel' for gate in 'ifgo']


def test_a_stack_of_layers_and_a_shared_layer():
  def body(self, x):
    stacked = nn.scan(nn.Dense, variable_axes={'params': 0}, split_rngs={'params': True}, length=3,
                      in_axes=nn.broadcast, out_axes=0)
    shared = nn.Dense(4, name='shared')
    return shared(shared(x)) + nn.vmap(nn.Dense, variable_axes={'params': 0}, split_rngs={'params': True},
                                       in_axes=None, axis_size=3)(4, name='stack')(x).sum(0) + 0 * (stacked is None)

  model = Held(one=linear(4, 4), many=nnx.vmap(lambda rngs: nnx.Linear(4, 4, rngs=rngs))(nnx.Rngs(0).split(3)))
  model.other = model.one
  found = inferred(compact(body), model, X)
  assert found == {'many/bias': ['params/stack/bias'], 'many/kernel': ['params/stack/kernel'],
                   'one/bias': ['params/shared/bias'], 'one/kernel': ['params/shared/kernel']}


def test_statistics_that_became_parameters_are_refused():
  def body(self, x):
    return x + self.variable('batch_stats', 'mean', lambda: jnp.zeros(4)).value

  with pytest.raises(MappingError, match='collection batch_stats in Linen, params in NNX'):
    inferred(compact(body), Held(mean=nnx.Param(jnp.zeros(4))), X)
  assert inferred(compact(body), Held(mean=nnx.BatchStat(jnp.zeros(4))), X) == {'mean': ['batch_stats/mean']}


def test_a_wrong_mapping_is_refused(port):
  with pytest.raises(MappingError, match="'haed' is no Linen module or leaf; there are: .*head"):
    inferred(ViT(), port, images(), mapping={'haed': 'classifier'})
  with pytest.raises(MappingError, match='given for several'):
    inferred(ViT(), port, images(), mapping={'head': 'classifier', 'LayerNorm_0': 'classifier'})


@pytest.mark.parametrize('name, words', [
    (('Dense_0',), (('dense',), (0,))), (('blocks', 3, 'norm1'), (('block', 'norm'), (3, 1))),
    (('stage_0_block_1',), (('stage', 'block'), (0, 1))), (('DenseGeneral_2',), (('dense', 'general'), (2,))),
    (('class_embedding',), (('class', 'embedding'), ())), (('conv2d',), (('conv2d',), ())),
])
def test_names(name, words):
  assert split_name(name) == words
