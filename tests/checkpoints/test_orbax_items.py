"""Orbax items of every layout: opened without reading, converted by index, restored by Orbax bit for bit."""
from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from trees import LAYOUTS, assert_equal, assert_same, flat, restored, save

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import reshape, stack, take, transpose
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.write import write_orbax


def contents(folder):
  return {str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
          for file in sorted(folder.rglob('*')) if file.is_file()}


def test_the_tree_is_as_orbax_restores_it(saved):
  path, wanted = saved
  opened = open_checkpoint(path)
  assert opened.tree['opt_state'][1:] == [None, {}]
  assert_same({name: np.asarray(leaf) for name, leaf in opened.leaves().items()}, restored(path))
  assert opened.leaves().keys() == wanted.keys()


def test_renamed(saved, tmp_path):
  path, wanted = saved
  before = contents(path)
  renamed = {('new', *name): leaf for name, leaf in open_checkpoint(path).leaves().items()}
  written = write_orbax(renamed, tmp_path / 'out')
  assert written.how == ('link',) and written.linked > 10_000
  assert_same(restored(tmp_path / 'out'), {('new', *name): value for name, value in restored(path).items()})
  assert contents(path) == before and os.listdir(tmp_path) == ['out']


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_stacked_on_every_axis_and_back_to_the_same_bytes(saved, axis, tmp_path):
  path, wanted = saved
  leaves = open_checkpoint(path).leaves()
  layers = [leaves['params', f'layers_{number}', 'kernel'] for number in range(3)]
  made = stack(layers, axis)
  assert take(made, axis, 1) is layers[1]
  write_orbax({('kernel',): made}, tmp_path / 'stacked')
  found = restored(tmp_path / 'stacked')['kernel',]
  assert_equal(found, np.stack([wanted['params', f'layers_{number}', 'kernel'] for number in range(3)], axis))
  again = open_checkpoint(tmp_path / 'stacked').leaves()['kernel',]
  written = write_orbax({('layer', str(number)): take(again, axis, number) for number in range(3)}, tmp_path / 'back')
  assert written.linked and not encoded(tmp_path / 'back')
  back = open_checkpoint(tmp_path / 'back').leaves()
  for number in range(3):
    assert back['layer', str(number)].stored.metadata == layers[number].stored.metadata
    assert_equal(restored(tmp_path / 'back')['layer', str(number)], wanted['params', f'layers_{number}', 'kernel'])


def encoded(folder):
  return [file.name for file in folder.rglob('new_*')]


@pytest.mark.parametrize('reencode', [False, True])
@pytest.mark.parametrize('name', ['kernel', 'cube', 'bias'])
def test_transposed_and_reshaped(saved, name, reencode, tmp_path):
  path, wanted = saved
  leaf = open_checkpoint(path).leaves()['params', 'layers_0', name]
  value = wanted['params', 'layers_0', name]
  size = value.size
  made = {'reversed': transpose(leaf), 'turned': transpose(leaf, [*range(1, leaf.ndim), 0]),
          'flat': reshape(leaf, [size]), 'other': reshape(leaf, [2, size // 2])}
  written = write_orbax({(key,): expression for key, expression in made.items()}, tmp_path / 'out', reencode=reencode)
  found = restored(tmp_path / 'out')
  turned = value.transpose([*range(1, value.ndim), 0])
  for key, array in {'reversed': value.T, 'turned': turned, 'flat': value.ravel(), 'other': value.reshape(2, -1)}.items():
    assert_equal(found[key,], array, key)
  assert written.arrays == 4


def test_typed_random_keys(tmp_path):
  keys = {'plain': jax.random.key(5), 'other': jax.random.key(6, impl='rbg'), 'many': jax.random.split(jax.random.key(1), 3)}
  save(tmp_path / 'in', {'keys': keys})
  opened = open_checkpoint(tmp_path / 'in').leaves()
  write_orbax({('rng', path[1], 'value'): leaf for path, leaf in opened.items()}, tmp_path / 'out')
  abstract = {'rng': {name: {'value': jax.ShapeDtypeStruct(key.shape, key.dtype)} for name, key in keys.items()}}
  with ocp.StandardCheckpointer() as checkpointer:
    back = checkpointer.restore(tmp_path / 'out', abstract)['rng']
  for name, key in keys.items():
    assert back[name]['value'].dtype == key.dtype
    assert_equal(jax.random.key_data(back[name]['value']), jax.random.key_data(key))


def test_arrays_without_compression_are_cut_by_their_bytes(tmp_path):
  value = jnp.asarray(np.random.default_rng(0).normal(size=(6, 50, 20)), jnp.bfloat16)
  save(tmp_path / 'in', {'stack': value}, compressed=False)
  leaf = open_checkpoint(tmp_path / 'in').leaves()['stack',]
  written = write_orbax({('layer', str(number)): take(leaf, 0, number) for number in range(6)}, tmp_path / 'out')
  assert written.linked == value.nbytes and not encoded(tmp_path / 'out')
  assert_same(restored(tmp_path / 'out'), {('layer', str(number)): np.asarray(value[number]) for number in range(6)})


@pytest.mark.parametrize('layout', ['ocdbt-zarr2', 'ocdbt-zarr3'])
def test_what_no_index_can_say_is_computed(layout, tmp_path):
  value = jnp.asarray(np.random.default_rng(0).normal(size=(6, 50, 20)), jnp.float32)
  save(tmp_path / 'in', {'stack': value}, **LAYOUTS[layout])
  leaf = open_checkpoint(tmp_path / 'in').leaves()['stack',]
  # A budget below one array: it is written in rows.
  write_orbax({('layer', str(number)): take(leaf, 0, number) for number in range(6)} | {('turned',): transpose(leaf, (1, 0, 2))},
              tmp_path / 'out', budget=20_000, deep=True)
  wanted = {('layer', str(number)): np.asarray(value[number]) for number in range(6)}
  assert_same(restored(tmp_path / 'out'), wanted | {('turned',): np.asarray(value).transpose(1, 0, 2)})
  assert encoded(tmp_path / 'out')


@pytest.mark.filterwarnings('ignore:Sharding info not provided')
def test_a_step_of_a_manager(item, tmp_path):
  write_orbax(dict(open_checkpoint(item).leaves()), make(tmp_path / 'steps' / '7') / 'default')
  with ocp.CheckpointManager(tmp_path / 'steps') as manager:
    assert manager.latest_step() == 7
    assert flat(manager.restore(7, args=ocp.args.StandardRestore())).keys() == restored(item).keys()
  assert open_checkpoint(tmp_path / 'steps' / '7').root == tmp_path / 'steps' / '7' / 'default'


def make(folder):
  folder.mkdir(parents=True)
  return folder


def test_copies_share_nothing(item, tmp_path):
  written = write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out', copy=True)
  assert written.how == ('copy',) and not written.linked
  own = {file.stat().st_ino for file in item.rglob('*')}
  assert not own & {file.stat().st_ino for file in (tmp_path / 'out').rglob('*')}
  assert_same(restored(tmp_path / 'out'), restored(item))


def test_a_copy_where_links_are_refused(item, tmp_path, monkeypatch):
  def refuse(*_):
    raise PermissionError(1, 'Operation not permitted')
  monkeypatch.setattr(os, 'link', refuse)
  written = write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out')
  assert not set(written.how) & {'link'} and written.how
  assert_same(restored(tmp_path / 'out'), restored(item))


def test_names_that_would_be_one(item, tmp_path):
  leaf = next(iter(open_checkpoint(item).leaves().values()))
  for names in ([('a', 'b.c'), ('a.b', 'c')], [('a', '..')], [('a/b',)], [('a\0',)], [('',)], [()]):
    with pytest.raises(CheckpointError, match='names that cannot be stored'):
      write_orbax(dict.fromkeys(names, leaf), tmp_path / 'out')
  assert not os.listdir(tmp_path)
