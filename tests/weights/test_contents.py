"""What checkpoints hold besides plain parameters: boxes, copies, keys, numbers, texts, stacked layers, random streams."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen as nn
from flax import nnx, serialization
from flax.core import freeze
from pairs import MLP, Pair, auto, named
from test_optimizer import kernels, trained
from test_pairs import assert_same, build, numpy

from migrator.checkpoints.expressions import Expression
from migrator.checkpoints.layouts import open_checkpoint
from migrator.manifest import Branch, Leaf, Loop
from migrator.weights import SampleCall, WeightsError, load, to_linen, to_nnx
from migrator.weights.convert import convert, convert_back


def save(path, tree, **options):
  ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options)).save(path, ocp.args.PyTreeSave(tree))
  return path


def as_file(path, tree):
  path.write_bytes(serialization.to_bytes(tree))
  return path


def read(path):
  return numpy_of(open_checkpoint(path).tree)


def numpy_of(node):
  if isinstance(node, dict):
    return {name: numpy_of(child) for name, child in node.items()}
  if isinstance(node, list | tuple):
    return type(node)(map(numpy_of, node))
  return np.asarray(node) if isinstance(node, Expression) else node


def assert_equal_trees(found, want):
  assert jax.tree.structure(found) == jax.tree.structure(want)
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
    a, b = np.asarray(a), np.asarray(b)
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def there_and_back(tmp_path, source, pair=MLP, **options):
  """Converts, converts back with the source as template, and returns the NNX tree."""
  report = convert(source, tmp_path / 'nnx', pair.manifest, 'm:Root', **options)
  convert_back(tmp_path / 'nnx', tmp_path / 'back', pair.manifest, 'm:Root', template=source, **options)
  assert_equal_trees(read(tmp_path / 'back'), read(source))
  return report, read(tmp_path / 'nnx')


@pytest.mark.parametrize('write', [save, as_file])
@pytest.mark.parametrize('box', [nn.Partitioned, nn.LogicallyPartitioned])
def test_boxes(box, write, tmp_path):
  params = jax.tree.map(lambda leaf: box(leaf, names=(None,) * leaf.ndim), MLP.variables()['params'])
  state = optax.adamw(1e-2).init(params)
  report, found = there_and_back(tmp_path, write(tmp_path / 'in', {'params': params, 'opt_state': state, 'step': 3}))
  plain = {'params': MLP.variables()['params'], 'opt_state': optax.adamw(1e-2).init(MLP.variables()['params']), 'step': 3}
  convert(write(tmp_path / 'plain', plain), tmp_path / 'plain_nnx', MLP.manifest)
  assert_equal_trees(found, read(tmp_path / 'plain_nnx'))
  assert "the 'value' levels of partitioned parameters are opened" in report.notes


@pytest.mark.parametrize('write', [save, as_file])
def test_bare_params_variables_and_frozen_dicts(write, tmp_path):
  variables = MLP.variables()
  trees = {'params': variables['params'], 'variables': variables, 'frozen': freeze(variables)}
  found = {}
  for name, tree in trees.items():
    (tmp_path / name).mkdir()
    report, found[name] = there_and_back(tmp_path / name, write(tmp_path / name / 'in', tree))
    assert report.kind == ('params' if name == 'params' else 'variables')
  assert_equal_trees(found['params'], found['variables'])
  assert_equal_trees(found['frozen'], found['variables'])


@pytest.mark.parametrize('write', [save, as_file])
def test_copies_and_further_entries(write, tmp_path):
  variables = MLP.variables()
  ema = jax.tree.map(lambda leaf: leaf * 2, variables['params'])
  tree = {**variables, 'ema_params': ema, 'epoch': 4, 'note': 'run', 'rng': jax.random.PRNGKey(3), 'nothing': None}
  report, found = there_and_back(tmp_path, write(tmp_path / 'in', tree))
  assert "restored['model']" in report.restore
  assert "entry 'ema_params' is a copy of the params and is mapped as they are" in report.notes
  load_into = build(MLP)
  load(load_into, {'params': ema}, MLP.manifest, 'm:Root')
  assert_same(found['ema_params'], numpy(nnx.to_pure_dict(nnx.state(load_into, nnx.Param))))
  assert found['epoch'] == 4 and found['note'] == 'run' and set(found) == {'model', 'ema_params', 'epoch', 'note', 'rng'}


KINDS = [jnp.bfloat16, jnp.float16, jnp.float8_e4m3fn, jnp.float8_e5m2, jnp.int4, jnp.int8, jnp.uint32, jnp.complex64]


@pytest.mark.parametrize('zarr3', [False, True])
def test_every_type_keeps_its_bytes(zarr3, tmp_path):
  variables = MLP.variables()
  for kind in KINDS:
    # Values with all bits in use, as far as a type has them.
    cast = jax.tree.map(lambda leaf, kind=kind: jnp.asarray(np.asarray(leaf).astype(kind)), variables)
    place = tmp_path / np.dtype(kind).name
    place.mkdir()
    _, found = there_and_back(place, save(place / 'in', cast, use_zarr3=zarr3))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(kind)}


def test_typed_random_keys_stay_typed(tmp_path):
  keys = {'threefry': jax.random.key(5), 'rbg': jax.random.key(6, impl='rbg'), 'many': jax.random.split(jax.random.key(1), 3)}
  source = save(tmp_path / 'in', {**MLP.variables(), 'keys': keys, 'step': 1})
  there_and_back(tmp_path, source)
  for place in ('nnx', 'back'):
    found = ocp.PyTreeCheckpointer().restore(tmp_path / place)['keys']
    for name, key in keys.items():
      assert found[name].dtype == key.dtype
      assert np.array_equal(jax.random.key_data(found[name]), jax.random.key_data(key))


def test_lookahead(tmp_path):
  params = MLP.variables()['params']
  both = optax.LookaheadParams.init_synced(params)
  tree = {'params': both, 'opt_state': optax.lookahead(optax.adam(1e-2), 5, 0.5).init(both), 'step': 2}
  report, found = there_and_back(tmp_path, save(tmp_path / 'in', tree))
  expected = build(MLP)
  load(expected, {'params': params}, MLP.manifest, 'm:Root')
  plain = numpy(nnx.to_pure_dict(nnx.state(expected, nnx.Param)))
  assert_same(jax.tree.map(lambda leaf: leaf, found['params_fast']), plain)
  assert 'slow' in ' '.join(report.notes)


class LinenLayers(nn.Module):
  @nn.compact
  def __call__(self, x):
    for k in range(3):
      x = nn.Dense(3, name=f'layers_{k}')(x)
    return x


class NnxScanned(nnx.Module):
  def __init__(self, rngs):
    self.layers = nnx.vmap(lambda rngs: nnx.Linear(3, 3, rngs=rngs))(rngs.fork(split=3))


LAYERS = Pair(LinenLayers(), NnxScanned, (Loop((named('layers_{}', 'Dense', 'layers', '*'),)),))


@pytest.mark.parametrize('transform', [optax.adamw(1e-2), optax.masked(optax.adamw(1e-2), kernels)], ids=['adamw', 'masked'])
def test_layers_to_a_stack_and_back(transform, tmp_path):
  state = trained(LAYERS, transform, 1)[-1]
  source = save(tmp_path / 'in', state)
  rules = ('stack layers/{} layers 0',)
  report, found = there_and_back(tmp_path, source, LAYERS, rules=rules)
  kernel = np.stack([np.asarray(state.params[f'layers_{k}']['kernel']) for k in range(3)])
  assert_equal_trees(found['model']['layers']['kernel']['value'], kernel)
  optimizer = nnx.Optimizer(NnxScanned(nnx.Rngs(0)), transform, wrt=nnx.Param)
  target = {'model': nnx.state(NnxScanned(nnx.Rngs(0)), nnx.Param), 'optimizer': nnx.state(optimizer)}
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.restore(tmp_path / 'nnx', target)


class NnxDrop(nnx.Module):
  def __init__(self, rngs):
    self.linear1 = nnx.Linear(3, 5, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)


class LinenDrop(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dropout(0.5, deterministic=True)(nn.Dense(5)(x))


DROP = Pair(LinenDrop(), NnxDrop, (auto('Dense', 'linear1'), auto('Dropout', 'dropout')))


def test_random_streams_are_made_by_a_seed(tmp_path):
  source = save(tmp_path / 'in', DROP.variables())
  convert(source, tmp_path / 'out', DROP.manifest, model='test_contents:NnxDrop', rngs=7)
  graphdef, abstract = nnx.split(nnx.eval_shape(lambda: NnxDrop(nnx.Rngs(0))))
  with ocp.StandardCheckpointer() as checkpointer:
    model = nnx.merge(graphdef, checkpointer.restore(tmp_path / 'out', abstract))
  wanted = NnxDrop(nnx.Rngs(7))
  load(wanted, DROP.variables(), DROP.manifest, 'm:Root')
  assert np.array_equal(model.dropout(jnp.ones((4, 5))), wanted.dropout(jnp.ones((4, 5))))
  assert_same(numpy(nnx.to_pure_dict(nnx.state(model, nnx.Param))), numpy(nnx.to_pure_dict(nnx.state(wanted, nnx.Param))))
  convert_back(tmp_path / 'out', tmp_path / 'back', DROP.manifest, model='test_contents:NnxDrop')
  assert_equal_trees(read(tmp_path / 'back'), numpy(DROP.variables()))
  report = convert_back(tmp_path / 'out', tmp_path / 'again', DROP.manifest, template=source)
  assert 'random streams dropout/rngs' in ' '.join(report.notes)


class LinenLazy(nn.Module):
  @nn.compact
  def __call__(self, x):
    seen = self.variable('cache', 'seen', jnp.zeros, x.shape)
    return nn.Dense(2)(x + seen.value)


class NnxLazy(nnx.Module):
  def __init__(self, rngs):
    self.dense = nnx.Linear(3, 2, rngs=rngs)
    self.dropout = nnx.Dropout(0.5, rngs=rngs)

  def __call__(self, x, *, noisy=False):
    if not hasattr(self, 'seen'):
      self.seen = nnx.Cache(jnp.zeros(x.shape))
    return self.dropout(self.dense(x + self.seen[...]), deterministic=not noisy)


LAZY = Pair(LinenLazy(), NnxLazy, (Branch(((Leaf('seen', 'cache', ('seen',)),), ())), auto('Dense', 'dense')))


@pytest.mark.parametrize('sample', [SampleCall((jnp.ones((4, 3)),), {'noisy': True}),
                                    SampleCall((jax.ShapeDtypeStruct((4, 3), jnp.float32),))])
def test_variables_made_by_a_call(sample, tmp_path):
  variables, model = LAZY.variables(), build(LAZY)
  before = nnx.to_pure_dict(nnx.state(model, nnx.RngCount))
  with pytest.raises(WeightsError, match='give a sample call'):
    load(model, variables, LAZY.manifest, 'm:Root')
  load(model, variables, LAZY.manifest, 'm:Root', sample)
  assert_same(numpy(nnx.to_pure_dict(nnx.state(model, nnx.RngCount))), numpy(before))
  assert np.array_equal(model(LAZY.input()), LAZY.linen.apply(variables, LAZY.input()))
  assert_same(numpy(to_linen(model, LAZY.manifest, 'm:Root')), numpy(variables))
  state = to_nnx(variables, LAZY.manifest, 'm:Root', nnx.eval_shape(lambda: NnxLazy(nnx.Rngs(0))), sample)
  assert_same(numpy(nnx.to_pure_dict(state)), numpy(nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngState)))))
  source = save(tmp_path / 'in', variables)
  convert(source, tmp_path / 'out', LAZY.manifest, model='test_contents:NnxLazy', sample=sample)
  with pytest.raises(WeightsError, match='--input'):
    convert(source, tmp_path / 'none', LAZY.manifest, model='test_contents:NnxLazy')


def test_a_sample_call_that_fails_says_so():
  with pytest.raises(WeightsError, match='the sample call of NnxLazy fails'):
    load(build(LAZY), LAZY.variables(), LAZY.manifest, 'm:Root', SampleCall(('text',)))


@pytest.mark.parametrize('change, match', [
  (lambda tree: tree['model'].pop('middle'), 'NNX leaf model/middle/kernel is missing'),
  (lambda tree: tree['model'].update(more=np.ones(3)), 'NNX leaf model/more has no Linen counterpart'),
  (lambda tree: tree['model']['middle'].update(kernel=np.ones((4, 5), np.float32)), r'float32\[4,5\] here'),
  (lambda tree: tree['model']['middle'].update(bias=np.ones(4, np.float16)), r'float16\[4\] here'),
  (lambda tree: tree['optimizer'].update(step=np.float32(1)), 'step')])
def test_going_back_is_strict(change, match, tmp_path):
  state = trained(MLP, optax.adamw(1e-2), 1)[-1]
  source = as_file(tmp_path / 'in', state)
  convert(source, tmp_path / 'nnx.msgpack', MLP.manifest)
  tree = serialization.msgpack_restore((tmp_path / 'nnx.msgpack').read_bytes())
  change(tree)
  (tmp_path / 'changed').write_bytes(serialization.msgpack_serialize(tree))
  with pytest.raises(WeightsError, match=match):
    convert_back(tmp_path / 'changed', tmp_path / 'back', MLP.manifest, template=source)
  assert not (tmp_path / 'back').exists()


def test_a_training_run_goes_back_with_a_template_only(tmp_path):
  source = save(tmp_path / 'in', trained(MLP, optax.adamw(1e-2), 1)[-1])
  convert(source, tmp_path / 'nnx', MLP.manifest)
  with pytest.raises(WeightsError, match='--template'):
    convert_back(tmp_path / 'nnx', tmp_path / 'back', MLP.manifest, model='pairs:NnxMlp')
  with pytest.raises(WeightsError, match='give --template'):
    convert_back(tmp_path / 'nnx', tmp_path / 'back', MLP.manifest)

