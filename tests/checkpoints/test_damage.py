"""Damaged and hostile Orbax items: refused with what is wrong, nothing written, nothing read from outside."""
from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest
from trees import LAYOUTS, restored, save

from migrator.checkpoints import bitrot
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.index import write as index
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.write import write_orbax

KERNEL = 'params.layers_1.kernel'


@pytest.fixture
def copied(item, tmp_path):
  return shutil.copytree(item, tmp_path / 'in')


@pytest.fixture(scope='session')
def directories(tmp_path_factory):
  from trees import tree
  return save(tmp_path_factory.mktemp('directories') / 'item', tree(), **LAYOUTS['directories-zarr2'])


def refused(source, match, **options):
  folder = source.parent
  before = sorted(os.listdir(folder))
  with pytest.raises(CheckpointError, match=match) as raised:
    write_orbax(open_checkpoint(source).leaves(), folder / 'out', **options)
  assert sorted(os.listdir(folder)) == before
  return str(raised.value)


def rewritten(source, change):
  """Writes the index again with changed entries; all sums are right."""
  from migrator.checkpoints.index.read import entries
  top = os.path.realpath(source)
  kept = {key: chunk if isinstance(chunk, bytes) else (os.path.relpath(chunk.file, top), chunk.offset, chunk.length)
          for key, chunk in entries(source).items()}
  change(kept)
  for name, content in index.files(kept).items():
    (source / name).write_bytes(content)


def data_files(source):
  return sorted((file for file in source.rglob('d/*') if 'ocdbt.process' in str(file)), key=lambda file: file.stat().st_size)


def test_a_cut_data_file_names_the_array(copied):
  for file in data_files(copied):
    os.truncate(file, file.stat().st_size // 2)
  refused(copied, r'^[\w.]+/[\d.]+: .* the file has')


def test_a_missing_data_file(copied):
  data_files(copied)[-1].unlink()
  refused(copied, r'^[\w.]+/[\d.]+: .* is missing')


def test_every_flipped_bit_of_the_index_is_found(copied):
  chosen = random.Random(0)
  for file in [copied / 'manifest.ocdbt', *(copied / 'd').iterdir()]:
    whole = file.read_bytes()
    for _ in range(12):
      changed = bytearray(whole)
      changed[chosen.randrange(len(whole))] ^= 1 << chosen.randrange(8)
      file.write_bytes(changed)
      refused(copied, 'cannot be read')
    file.write_bytes(whole)


def changed_metadata(change):
  def edit(entries):
    key = f'{KERNEL}/.zarray'
    metadata = json.loads(entries[key])
    change(metadata)
    entries[key] = json.dumps(metadata).encode()
  return edit


@pytest.mark.parametrize('change', [
  {'shape': [24, 400]}, {'shape': [-24, 40]}, {'shape': [24]}, {'shape': [1 << 60, 40]}, {'chunks': [0, 40]},
  {'chunks': [12, 40]}, {'dtype': '<m8'}, {'dtype': 'object'}, {'dtype': '|O'}, {'shape': 'ab'}, {'zarr_format': 3},
  {'dimension_separator': 'x'}, {'dtype': None}, {'shape': [24, True]}])
def test_metadata_that_cannot_be_names_the_array(copied, change):
  rewritten(copied, changed_metadata(lambda metadata: metadata.update(change)))
  assert KERNEL in refused(copied, 'kernel')


@pytest.mark.parametrize('change', [{'dtype': '<f4'}, {'shape': [24, 39], 'chunks': [24, 39]},
                                    {'compressor': None}, {'compressor': {'id': 'pickle'}}])
def test_metadata_of_another_array_is_found_when_all_is_read(copied, change):
  from migrator.checkpoints.expressions import transpose
  rewritten(copied, changed_metadata(lambda metadata: metadata.update(change)))
  leaf = open_checkpoint(copied).leaves()['params', 'layers_1', 'kernel']
  with pytest.raises(CheckpointError, match='params/layers_1/kernel'):
    write_orbax({('kernel',): transpose(leaf)}, copied.parent / 'out', reencode=True)
  assert os.listdir(copied.parent) == ['in']


@pytest.mark.parametrize('place', [
  ('d/none', 0, 10), ('d', 0, 1)])
def test_places_that_are_no_files(copied, place):
  rewritten(copied, lambda entries: entries.update({f'{KERNEL}/0.0': place}))
  refused(copied, 'missing|is no file')


def test_bytes_outside_a_file(copied):
  def beyond(entries):
    file, offset, length = entries[f'{KERNEL}/0.0']
    entries[f'{KERNEL}/0.0'] = (file, offset, 1 << 40)
  rewritten(copied, beyond)
  assert KERNEL in refused(copied, 'the file has')


@pytest.mark.parametrize('name', ['../secret', '/etc/passwd', 'd/../../secret', 'd//x', './secret'])
def test_data_files_outside_the_checkpoint(copied, name):
  (copied.parent / 'secret').write_bytes(b'secret' * 1000)
  rewritten(copied, lambda entries: entries.update({f'{KERNEL}/0.0': (name, 0, 100)}))
  refused(copied, 'cannot be read|outside')


@pytest.mark.parametrize('what', ['data', 'node', 'manifest.ocdbt', '_METADATA', '_sharding'])
def test_links_that_lead_outside(copied, what):
  file = {'data': data_files(copied)[-1], 'node': next((copied / 'd').iterdir())}.get(what, copied / what)
  file.rename(copied.parent / 'secret')
  file.symlink_to(copied.parent / 'secret')
  refused(copied, 'leads outside')


def test_links_inside_one_directory_per_array(directories, tmp_path):
  source = shutil.copytree(directories, tmp_path / 'in')
  (tmp_path / 'secret').write_bytes(b'secret')
  chunk = source / KERNEL / '0.0'
  chunk.unlink()
  chunk.symlink_to(tmp_path / 'secret')
  assert KERNEL in refused(source, 'leads outside')


def test_a_missing_chunk_and_a_strange_one(directories, tmp_path):
  source = shutil.copytree(directories, tmp_path / 'in')
  (source / KERNEL / '0.1').write_bytes(b'x')
  assert KERNEL in refused(source, 'has no place for')
  (source / KERNEL / '0.1').unlink()
  (source / KERNEL / '0.0').unlink()
  assert KERNEL in refused(source, '0 of its 1 chunks')
  shutil.rmtree(source / KERNEL)
  assert KERNEL in refused(source, 'not there')


def changed_tree(source, change):
  content = json.loads((source / '_METADATA').read_text())
  change(content['tree_metadata'])
  (source / '_METADATA').write_text(json.dumps(content))


@pytest.mark.parametrize('name', ['..', '', '.', 'a/b', '../../x', 'a\0b', '/etc', 'a\\b', 'a\x1b[2J', 'x' * 5000])
def test_names_that_lead_elsewhere(copied, name):
  def rename(entries):
    first = next(iter(entries.values()))
    first['key_metadata'][0]['key'] = name
  changed_tree(copied, rename)
  text = refused(copied, 'cannot be stored')
  assert '\x1b' not in text and '\0' not in text


def test_names_that_are_one_when_joined(copied):
  def collide(entries):
    made = json.loads(json.dumps(next(value for key, value in entries.items() if 'kernel' in key)))
    parts = [part['key'] for part in made['key_metadata']]
    made['key_metadata'] = [{'key': '.'.join(parts), 'key_type': 2}]
    entries['collides'] = made
  changed_tree(copied, collide)
  refused(copied, 'the same stored name')


@pytest.mark.parametrize('content', [
  '', '{', '[]', 'null', '{"tree_metadata": 3}', '{"tree_metadata": {"a": {}}}', '{"a": 1, "a": 2}', '[' * 100_000,
  '{"tree_metadata": {"a": {"key_metadata": [{"key": "a", "key_type": 9}], "value_metadata": '
  '{"value_type": "jax.Array", "skip_deserialize": false}}}}', b'\xff\xfe'])
def test_metadata_files_that_are_none(copied, content):
  (copied / '_METADATA').write_bytes(content if isinstance(content, bytes) else content.encode())
  refused(copied, '_METADATA')


@pytest.mark.parametrize('name', ['_sharding', 'array_metadatas/process_0'])
@pytest.mark.parametrize('content', ['{', '[1]', '{"a": 3}', '{"array_metadatas": [3]}'])
def test_other_files_that_are_none(copied, name, content):
  (copied / name).write_text(content)
  if (name, content) != ('_sharding', '{"array_metadatas": [3]}'):
    refused(copied, name.split('/')[-1] + '|_sharding')


def test_chunks_that_are_no_chunks_are_refused_when_they_are_read(copied):
  from migrator.checkpoints.expressions import transpose
  chosen = random.Random(0)
  leaf = open_checkpoint(copied).leaves()['params', 'layers_1', 'kernel']
  chunk = next(iter(leaf.stored.chunks.values()))
  for _ in range(5):
    with open(chunk.file, 'r+b') as file:
      file.seek(chunk.offset)
      file.write(chosen.randbytes(chunk.length))
    with pytest.raises(CheckpointError, match='params/layers_1/kernel'):
      write_orbax({('kernel',): transpose(leaf)}, copied.parent / 'out', reencode=True)
  assert os.listdir(copied.parent) == ['in']


def test_a_hundred_flipped_bits_are_all_found(item, tmp_path):
  write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out', copy=True, deep=True)
  wanted = restored(tmp_path / 'out')
  assert bitrot.check(tmp_path / 'out') > 10_000
  chosen = random.Random(0)
  files = [file for file in (tmp_path / 'out' / 'd').iterdir() if file.name.startswith('data')]
  for _ in range(100):
    file = chosen.choices(files, [file.stat().st_size for file in files])[0]
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[chosen.randrange(len(whole))] ^= 1 << chosen.randrange(8)
    file.write_bytes(changed)
    with pytest.raises(CheckpointError, match=r'\n  \S+: its bytes are not as they were written'):
      bitrot.check(tmp_path / 'out')
    file.write_bytes(whole)
  assert bitrot.check(tmp_path / 'out')
  assert restored(tmp_path / 'out').keys() == wanted.keys()


@pytest.mark.parametrize('name', ['_METADATA', 'array_metadatas/process_0', 'manifest.ocdbt', bitrot.NAME])
def test_changed_metadata_files_are_found(item, tmp_path, name):
  write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out', deep=True)
  file = tmp_path / 'out' / name
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)
  with pytest.raises(CheckpointError):
    bitrot.check(tmp_path / 'out')


def test_without_a_list_of_sums(item):
  with pytest.raises(CheckpointError, match='no list of sums'):
    bitrot.check(item)


def test_the_proof_finds_a_writer_that_errs(item, tmp_path, monkeypatch):
  """Two arrays of one shape with their places exchanged: nothing but the proof can see it."""
  from migrator.checkpoints.layouts import orbax_write
  plain = orbax_write.entries

  def exchanged(arrays, places):
    made = plain(arrays, places)
    first, second = f'{KERNEL}/0.0', 'params.layers_2.kernel/0.0'
    made[first], made[second] = made[second], made[first]
    return made
  monkeypatch.setattr(orbax_write, 'entries', exchanged)
  with pytest.raises(CheckpointError, match='is not that of the source') as raised:
    write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out')
  assert len(raised.value.problems) == 2 and not os.listdir(tmp_path)


def test_the_deep_proof_finds_a_disk_that_errs(item, tmp_path, monkeypatch):
  from migrator.checkpoints import transfer
  plain = transfer._copied

  def rotten(file, target, start, stop, offset):
    plain(file, target, start, stop, offset)
    with open(target, 'r+b') as opened:
      opened.seek(offset + (stop - start) // 2)
      old = opened.read(1)[0]
      opened.seek(-1, 1)
      opened.write(bytes([old ^ 1]))
  monkeypatch.setattr(transfer, '_copied', rotten)
  write_orbax(open_checkpoint(item).leaves(), tmp_path / 'unseen', copy=True)
  with pytest.raises(CheckpointError, match='differs from the source'):
    write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out', copy=True, deep=True)
  assert os.listdir(tmp_path) == ['unseen']


def test_an_item_is_not_held_in_memory(item, tmp_path):
  """Metadata that speaks of 64 terabytes over a small chunk is refused before they are asked for."""
  source = shutil.copytree(item, tmp_path / 'in')
  rewritten(source, changed_metadata(lambda metadata: metadata.update(shape=[1 << 25, 1 << 20], chunks=[1 << 25, 1 << 20])))
  leaf = open_checkpoint(source).leaves().get(('params', 'layers_1', 'kernel'))
  with pytest.raises(CheckpointError, match='layers_1/kernel: a chunk of'):
    np.asarray(leaf)
