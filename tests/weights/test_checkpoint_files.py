"""Checkpoint files end to end: Orbax and msgpack in, restored by NNX, and every kind of damage."""
from __future__ import annotations

import os
import random
import shutil

import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx, serialization
from pairs import MLP, PAIRS
from test_optimizer import TRANSFORMS, trained
from test_pairs import abstract, assert_same, build, numpy

from migrator.weights import WeightsError, load, load_optimizer
from migrator.weights.convert import convert


def save_standard(path, tree):
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, tree)
  return path


def save_pytree(path, tree):
  ocp.PyTreeCheckpointer().save(path, tree)
  return path


def save_step(path, tree):
  with ocp.CheckpointManager(path) as manager:
    manager.save(3, args=ocp.args.StandardSave(tree))
    manager.wait_until_finished()
  return path / '3'


def save_msgpack(path, tree):
  path.write_bytes(serialization.to_bytes(tree))
  return path


SAVERS = [save_standard, save_pytree, save_step, save_msgpack]


def restored(path, pair):
  graphdef, rng, weights = nnx.split(abstract(pair), nnx.RngState, ...)
  with ocp.StandardCheckpointer() as checkpointer:
    weights = checkpointer.restore(path, weights)
  model = build(pair)
  nnx.update(model, weights)
  return nnx.merge(graphdef, nnx.state(model, nnx.RngState), weights)


def expected_model(pair, variables):
  model = build(pair)
  load(model, variables, pair.manifest, 'm:Root')
  return model


def weights_of(model):
  return numpy(nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngState))))


# Every model from one store, and one model from every store.
READABLE = [(save_standard, pair) for pair in PAIRS.values()] + [(save, MLP) for save in SAVERS[1:]]


@pytest.mark.parametrize('save, pair', READABLE)
def test_restores_into_the_model(save, pair, tmp_path):
  variables = pair.variables()
  source = save(tmp_path / 'in', variables)
  before = snapshot(source)
  report = convert(source, tmp_path / 'out', pair.manifest, 'm:Root')
  assert_same(weights_of(restored(tmp_path / 'out', pair)), weights_of(expected_model(pair, variables)))
  assert snapshot(source) == before
  assert report.kind == 'variables' and not report.checked and report.arrays == len(report.leaf_map.rules)
  assert sorted(os.listdir(tmp_path)) == ['in', 'out']


def snapshot(path):
  files = [path] if path.is_file() else sorted(file for file in path.rglob('*') if file.is_file())
  return {str(file): file.read_bytes() for file in files}


@pytest.mark.parametrize('name', ['mlp', 'recurrent', 'setup'])
def test_msgpack_out_is_a_pure_dict(name, tmp_path):
  pair = PAIRS[name]
  variables = pair.variables()
  save_msgpack(tmp_path / 'in', variables['params'])
  report = convert(tmp_path / 'in', tmp_path / 'out.msgpack', pair.manifest)
  assert report.kind == 'params' and 'whole tree is taken as the params' in report.notes[1]
  state = nnx.state(build(pair), nnx.Not(nnx.RngState))
  pure = serialization.msgpack_restore((tmp_path / 'out.msgpack').read_bytes())
  nnx.replace_by_pure_dict(state, nnx.restore_int_paths(pure))
  assert_same(numpy(nnx.to_pure_dict(state)), weights_of(expected_model(pair, variables)))


@pytest.mark.parametrize('save', [save_standard, save_msgpack])
@pytest.mark.parametrize('transform', TRANSFORMS.values(), ids=TRANSFORMS)
def test_train_state_restores_into_the_optimizer(save, transform, tmp_path):
  states = trained(MLP, transform(), 2)
  source = save(tmp_path / 'in', serialization.to_state_dict(states[-1]))
  report = convert(source, tmp_path / 'out', MLP.manifest)
  assert report.kind == 'train state'
  model = build(MLP)
  optimizer = nnx.Optimizer(model, transform(), wrt=nnx.Param)
  target = {'model': nnx.state(model, nnx.Not(nnx.RngState)), 'optimizer': nnx.state(optimizer)}
  with ocp.StandardCheckpointer() as checkpointer:
    back = checkpointer.restore(tmp_path / 'out', target)
  assert int(back['optimizer']['step'].get_value()) == 2
  nnx.update(model, back['model'])
  nnx.update(optimizer, back['optimizer'])
  assert_same(weights_of(model), weights_of(expected_model(MLP, {'params': states[-1].params})))
  direct = nnx.Optimizer(build(MLP), transform(), wrt=nnx.Param)
  load_optimizer(direct, states[-1].opt_state, report.leaf_map, states[-1].step)
  assert_same(numpy(nnx.to_pure_dict(nnx.state(optimizer))), numpy(nnx.to_pure_dict(nnx.state(direct))))


def _saved(tmp_path, save=save_standard):
  return save(tmp_path / 'in', MLP.variables())


def _refused(tmp_path, match, **options):
  names = sorted(os.listdir(tmp_path))
  with pytest.raises(WeightsError, match=match):
    convert(options.pop('source', tmp_path / 'in'), options.pop('target', tmp_path / 'out'),
            options.pop('manifest', MLP.manifest), options.pop('class_name', 'm:Root'), **options)
  assert sorted(os.listdir(tmp_path)) == names


def test_absent_source(tmp_path):
  _refused(tmp_path, 'no such checkpoint')


def test_existing_target_is_kept(tmp_path):
  _saved(tmp_path)
  (tmp_path / 'out').write_text('mine')
  _refused(tmp_path, 'exists already')
  assert (tmp_path / 'out').read_text() == 'mine'


def test_absent_target_folder(tmp_path):
  _saved(tmp_path)
  _refused(tmp_path, 'no such folder', target=tmp_path / 'a' / 'out')


def test_wrong_layout(tmp_path):
  _saved(tmp_path)
  _refused(tmp_path, 'use layout orbax', layout='msgpack')
  _refused(tmp_path, 'is none of', layout='zip')


def test_unknown_class(tmp_path):
  _saved(tmp_path)
  _refused(tmp_path, "no class 'm:Other'", class_name='m:Other')


def test_folder_of_steps(tmp_path):
  save_step(tmp_path / 'in', MLP.variables())
  _refused(tmp_path, 'give one of them, such as .*/3')


def test_folder_without_a_checkpoint(tmp_path):
  (tmp_path / 'in').mkdir()
  _refused(tmp_path, 'no _METADATA file')


def test_missing_leaf_is_named(tmp_path):
  variables = MLP.variables()
  del variables['params']['middle']
  save_standard(tmp_path / 'in', variables)
  _refused(tmp_path, 'Linen middle is not in the tree; NNX middle would get no value')


def test_extra_leaf_is_named(tmp_path):
  variables = MLP.variables()
  variables['params']['Dense_2'] = {'kernel': np.ones(3)}
  save_standard(tmp_path / 'in', variables)
  _refused(tmp_path, 'Linen leaf params/Dense_2/kernel has no NNX counterpart')


def test_checked_against_a_model(tmp_path):
  _saved(tmp_path)
  report = convert(tmp_path / 'in', tmp_path / 'out', MLP.manifest, model='pairs:NnxMlp')
  assert report.checked


def test_shapes_are_checked_against_a_model(tmp_path):
  variables = MLP.variables()
  variables['params']['middle'] = {'kernel': np.ones((5, 5), np.float32), 'bias': np.ones(4, np.float16)}
  save_standard(tmp_path / 'in', variables)
  with pytest.raises(WeightsError) as raised:
    convert(tmp_path / 'in', tmp_path / 'out', MLP.manifest, model='pairs:NnxMlp')
  assert raised.value.problems == (
    'Linen params/middle/bias float16[4], NNX middle/bias float32[4]',
    'Linen params/middle/kernel float32[5,5], NNX middle/kernel float32[5,4]')


@pytest.mark.parametrize('model, match', [
  ('pairs', 'package.module:Class'), ('nothing_here:A', 'cannot be imported'),
  ('pairs:Absent', 'cannot be imported'), ('pairs:NnxBlock', 'cannot be built')])
def test_models_that_cannot_be_had(model, match, tmp_path):
  _saved(tmp_path)
  _refused(tmp_path, match, model=model)


def test_every_cut_of_a_msgpack_file_is_refused(tmp_path):
  content = save_msgpack(tmp_path / 'whole', MLP.variables()).read_bytes()
  for length in [0, 1, *random.Random(0).sample(range(2, len(content)), 40)]:
    (tmp_path / 'in').write_bytes(content[:length])
    _refused(tmp_path, 'msgpack|holds')


def test_every_cut_file_of_an_orbax_checkpoint_is_refused(tmp_path):
  whole = save_standard(tmp_path / 'whole', MLP.variables())
  optional = {'_CHECKPOINT_METADATA', '_sharding', 'commit_success.txt', 'process_0'}
  files = [file.relative_to(whole) for file in whole.rglob('*')
           if file.is_file() and file.name not in optional]
  assert len(files) >= 4
  for name in files:
    shutil.copytree(whole, tmp_path / 'in')
    file = tmp_path / 'in' / name
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    try:
      convert(tmp_path / 'in', tmp_path / 'out', MLP.manifest)
    except WeightsError:
      assert not (tmp_path / 'out').exists()
    else:  # a B+tree file that the merged index does not need
      want = expected_model(MLP, MLP.variables())
      assert_same(weights_of(restored(tmp_path / 'out', MLP)), weights_of(want))
      assert 'ocdbt.process_0' in str(name)
      shutil.rmtree(tmp_path / 'out')
    shutil.rmtree(tmp_path / 'in')


def stacked_manifest_tree():
  """Three equal blocks in a list."""
  from migrator.manifest import ClassMap, Leaf, Loop, Manifest, Submodule
  entry = lambda name, members: ClassMap(name, 'm.py', 1, 'native', (), (), (), (), members)
  block = entry('m:Block', (Leaf('kernel', 'params', ('kernel',)),))
  body = Submodule(('layers_{}',), None, ('layers', '*'), 'm:Block')
  manifest = Manifest({'m:Block': block, 'm:Root': entry('m:Root', (Loop((body,)),))})
  kernels = [np.random.default_rng(number).normal(size=(40, 60)).astype(np.float32) for number in range(3)]
  return manifest, {'params': {f'layers_{number}': {'kernel': kernel} for number, kernel in enumerate(kernels)}}, kernels


class Scanned(nnx.Module):
  """What `nnx.vmap` and `nnx.scan` make of the blocks: one leaf with the layers on an axis."""

  def __init__(self, layers=3):
    self.layers = nnx.Module()
    self.layers.kernel = nnx.Param(np.zeros((40, layers, 60), np.float32))


def test_restructured_and_compared_with_the_model(tmp_path):
  manifest, tree, kernels = stacked_manifest_tree()
  save_standard(tmp_path / 'in', tree)
  rule = ['stack layers/{} layers 1']
  report = convert(tmp_path / 'in', tmp_path / 'out', manifest, rules=tuple(rule), model='test_checkpoint_files:Scanned')
  assert report.checked and report.written.linked
  with ocp.StandardCheckpointer() as checkpointer:
    back = checkpointer.restore(tmp_path / 'out', nnx.state(nnx.eval_shape(Scanned)))
  assert_same(np.asarray(back['layers']['kernel'].get_value()), np.stack(kernels, 1))
  _refused(tmp_path, r'layers/kernel/value is float32\[40,3,60\], the model has float32\[40,2,60\]', target=tmp_path / 'other',
           manifest=manifest, rules=tuple(rule), model='test_checkpoint_files:Scanned', arguments={'layers': 2})
