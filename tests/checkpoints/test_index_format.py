"""The storage format written by hand, against TensorStore, which did not write it."""
from __future__ import annotations

import random

import pytest
import tensorstore as ts

from migrator.checkpoints import folder
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.index import read, through_tensorstore, write
from migrator.checkpoints.index.crc32c import crc32c
from migrator.checkpoints.storage import Range


def test_crc32c_of_the_published_vectors():
  # RFC 3720, B.4.
  assert crc32c(bytes(32)) == 0x8A9136AA
  assert crc32c(b'\xff' * 32) == 0x62A8AB43
  assert crc32c(bytes(range(32))) == 0x46DD794E
  assert crc32c(b'123456789') == 0xE3069283


@pytest.mark.parametrize('length', [0, 1, 4096, 4097, 5000, 70_001])
def test_crc32c_in_lanes_is_crc32c_byte_by_byte(length):
  content = random.Random(length).randbytes(length)
  plain = 0xFFFFFFFF
  for byte in content:
    plain ^= byte
    for _ in range(8):
      plain = plain >> 1 ^ (0x82F63B78 if plain & 1 else 0)
  assert crc32c(content) == plain ^ 0xFFFFFFFF


def written(top, entries):
  for name, content in write.files(entries).items():
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    (top / name).write_bytes(content)


@pytest.mark.parametrize('count, per_node', [(1, 50), (50, 50), (51, 50), (700, 5), (3000, 50_000)])
def test_tensorstore_reads_every_entry(count, per_node, tmp_path, monkeypatch):
  monkeypatch.setattr(write, 'PER_NODE', per_node)
  chosen = random.Random(count)
  data = chosen.randbytes(5000)
  (tmp_path / 'd').mkdir()
  for name in ('d/data_0', 'd/data_1'):
    (tmp_path / name).write_bytes(data)
  entries = {}
  for number in range(count):
    offset, length = chosen.randrange(4000), chosen.randrange(1000)
    key = f'params.layers_{number}.ä{"x" * chosen.randrange(300)}/0.{number % 3}'
    entries[key] = data[offset:offset + length] if number % 3 else (f'd/data_{number % 2}', offset, length)
  written(tmp_path, entries)
  values = {key: value if isinstance(value, bytes) else data[value[1]:value[1] + value[2]]
            for key, value in entries.items()}
  store = ts.KvStore.open({'driver': 'ocdbt', 'base': f'file://{tmp_path}/'}).result()
  assert sorted(store.list().result()) == sorted(key.encode() for key in entries)
  for key, value in values.items():
    assert store.read(key).result().value == value
  found = read.entries(tmp_path)
  assert {key: chunk if isinstance(chunk, bytes) else folder.read(chunk.file, chunk.offset, chunk.length)
          for key, chunk in found.items()} == values
  # TensorStore goes on writing to it.
  store.write('new', b'value').result()
  assert store.read('new').result().value == b'value' and len(store.list().result()) == count + 1


def test_what_tensorstore_wrote_is_read_over_many_levels_and_versions(tmp_path):
  config = {'max_decoded_node_bytes': 400, 'max_inline_value_bytes': 20}
  store = ts.KvStore.open({'driver': 'ocdbt', 'base': f'file://{tmp_path}/', 'config': config}).result()
  chosen, wanted = random.Random(0), {}
  for number in range(120):
    key, value = f'layers_{number}.kernel/{number % 7}.0', chosen.randbytes(5 + number % 40)
    store.write(key, value).result()
    wanted[key] = value
  found = read.entries(tmp_path)
  assert {key: chunk if isinstance(chunk, bytes) else folder.read(chunk.file, chunk.offset, chunk.length)
          for key, chunk in found.items()} == wanted
  assert any(isinstance(chunk, Range) for chunk in found.values())


@pytest.mark.parametrize('config', [
  {}, {'compression': None}, {'max_decoded_node_bytes': 400}, {'max_decoded_node_bytes': 400, 'compression': None},
  {'manifest_kind': 'numbered'}, {'version_tree_arity_log2': 1}])
def test_both_readers_read_what_tensorstore_wrote(config, tmp_path):
  """Nodes of several levels, inlined and other values, many versions, manifests in several files."""
  chosen = random.Random(3)
  store = ts.KvStore.open({'driver': 'ocdbt', 'base': f'file://{tmp_path}/', 'config': config}).result()
  for round_ in range(4):
    with ts.Transaction() as transaction:
      part = store.with_transaction(transaction)
      for number in range(40):
        part[f'params.layers_{round_ % 2}.{number}.kernel/0.0'.encode()] = chosen.randbytes(chosen.randrange(2000))
    store[f'single_{round_}'.encode()] = b'x'
  found = through_tensorstore.entries(tmp_path)
  assert len(found) == 84 and found == read.entries(tmp_path)
  for key, chunk in found.items():
    content = folder.read(chunk.file, chunk.offset, chunk.length) if isinstance(chunk, Range) else chunk
    assert content == store[key.encode()]


def test_every_flipped_bit_of_an_index_is_refused(tmp_path):
  data = bytes(range(256)) * 4
  (tmp_path / 'd').mkdir()
  (tmp_path / 'd/data').write_bytes(data)
  written(tmp_path, {f'a.{number}/0': ('d/data', number, 9) if number % 2 else bytes([number]) for number in range(12)})
  for file in [file for file in tmp_path.rglob('*') if file.is_file() and file.name != 'data']:
    content = file.read_bytes()
    for position in range(8 * len(content)):
      changed = bytearray(content)
      changed[position // 8] ^= 1 << position % 8
      file.write_bytes(changed)
      with pytest.raises(CheckpointError, match='damaged'):
        read.entries(tmp_path)
    file.write_bytes(content)
  assert len(read.entries(tmp_path)) == 12


@pytest.mark.parametrize('place, problem', [
  (('../secret', 0, 9), 'outside the checkpoint'), (('/etc/hostname', 0, 9), 'outside the checkpoint'),
  (('d/link', 0, 9), 'leads outside'), (('d/data', 1020, 9), 'the file has 1024'), (('d/data', 2**63, 2**63), 'the file has 1024'),
  (('d/absent', 0, 9), 'is missing'), (('d', 0, 1), 'is no file')])
def test_hostile_references_are_refused_by_name(place, problem, tmp_path):
  top = tmp_path / 'item'
  (top / 'd').mkdir(parents=True)
  (tmp_path / 'secret').write_bytes(bytes(99))
  (top / 'd/link').symlink_to('../../secret')
  (top / 'd/data').write_bytes(bytes(1024))
  written(top, {'params.kernel/0.0': place})
  with pytest.raises(CheckpointError, match=f'params.kernel/0.0: .*{problem}'):
    read.entries(top)


def test_a_node_that_holds_itself_is_refused(tmp_path):
  """Entries without end from few bytes: two levels that share one node, and a key that stands twice."""
  made: dict = {}
  leaf = write._leaf([(b'a', b'x')], made, 'd')
  root = write._interior([leaf, leaf], 1, made, 'd')
  made[write.MANIFEST] = write._manifest(root, 1)
  for name, content in made.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
  with pytest.raises(CheckpointError, match='two places'):
    read.entries(tmp_path)
  made = {}
  twice = write._leaf([(b'a', b'x'), (b'a', b'y')], made, 'd')
  for name, content in {**made, write.MANIFEST: write._manifest(twice, 0)}.items():
    (tmp_path / name).write_bytes(content)
  with pytest.raises(CheckpointError, match='twice'):
    read.entries(tmp_path)
