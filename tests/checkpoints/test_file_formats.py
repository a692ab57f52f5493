"""Files of flax.serialization, safetensors and numpy: read where they lie, written as their own library writes them."""
from __future__ import annotations

import collections
import io
import json
import struct
import zipfile

import jax.numpy as jnp
import ml_dtypes
import msgpack
import numpy as np
import pytest
import safetensors.numpy
from flax import serialization
from flax.core import freeze

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression
from migrator.checkpoints.layouts import msgpack_write, open_checkpoint
from migrator.checkpoints.layouts import safetensors as own_safetensors
from migrator.checkpoints.operations.evaluate import evaluate

KINDS = ['float32', 'float64', 'float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2', 'int4', 'int8', 'uint8',
         'int64', 'uint32', 'bool', 'complex64']
UNKNOWN_TO_SAFETENSORS = {'int4'}
# Named in the format; the library's numpy interface does not make them.
NOT_IN_ITS_NUMPY = {'float8_e4m3fn', 'float8_e5m2'}


def arrays(kinds=KINDS):
  random = np.random.default_rng(0)
  found = {name: random.integers(0, 2, (3, 4)).astype(name) for name in kinds}
  return {**found, 'none': np.zeros((0, 3), np.float32), 'number': np.array(3, np.float32),
          'f_order': np.asfortranarray(random.standard_normal((3, 5))), 'cube': random.standard_normal((2, 3, 4))}


def values(tree):
  if isinstance(tree, dict):
    return {name: values(child) for name, child in tree.items()}
  return evaluate(tree) if isinstance(tree, Expression) else tree


def assert_equal(found, want):
  assert list(found) == list(want) or sorted(found) == sorted(want)
  for name, value in want.items():
    if isinstance(value, dict):
      assert_equal(found[name], value)
    elif value is None or isinstance(value, str):
      assert found[name] == value
    else:
      value = np.asarray(value)
      assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype), name
      assert np.ascontiguousarray(found[name]).tobytes() == value.tobytes(), name


def tree():
  return {'params': {'layers_0': arrays(), 'empty': {}}, 'step': 7, 'loss': 2.5, 'negative': -70000, 'flag': True,
          'rate': 1e-3, 'z': 1 + 2j, 'none': None, 'name': 'run'}


def flat(node, path=()):
  """The plan that writes what was read."""
  if isinstance(node, dict) and node:
    return {leaf: value for name, child in node.items() for leaf, value in flat(child, (*path, name)).items()}
  return {path: node}


@pytest.mark.parametrize('wrap', [dict, freeze], ids=['dict', 'FrozenDict'])
def test_msgpack_is_read_as_flax_reads_it(wrap, tmp_path):
  file = tmp_path / 'checkpoint_3'
  file.write_bytes(serialization.to_bytes(wrap(tree())))
  found = open_checkpoint(file)
  assert found.layout == 'msgpack'
  assert_equal(values(found.tree), serialization.msgpack_restore(file.read_bytes()))
  assert found.tree['step'].stored.kind == 'scalar' and found.tree['params']['layers_0']['cube'].stored.kind != 'scalar'


def test_msgpack_is_written_as_flax_writes_it(tmp_path):
  (tmp_path / 'in').write_bytes(serialization.to_bytes(tree()))
  msgpack_write.write(tmp_path / 'out', flat(open_checkpoint(tmp_path / 'in').tree))
  assert (tmp_path / 'out').read_bytes() == (tmp_path / 'in').read_bytes()


@pytest.mark.parametrize('size', [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_every_size_of_header_is_written_as_flax_writes_it(size, tmp_path):
  content = {'x' * max(size, 1): np.zeros(size, np.int8), 'many': {str(k): k - 300 for k in range(min(size, 700))}}
  (tmp_path / 'in').write_bytes(serialization.to_bytes(content))
  msgpack_write.write(tmp_path / 'out', flat(open_checkpoint_of_any_name(tmp_path / 'in')))
  assert (tmp_path / 'out').read_bytes() == (tmp_path / 'in').read_bytes()


def open_checkpoint_of_any_name(file):
  from migrator.checkpoints.layouts import flax_msgpack
  return flax_msgpack.read(file).tree


@pytest.mark.parametrize('limit, rows', [(4000, 1000), (4096, 1000), (1000, 77), (3000, 1000), (44, 3)])
def test_large_arrays_in_pieces(limit, rows, tmp_path, monkeypatch):
  monkeypatch.setattr(serialization, 'MAX_CHUNK_SIZE', limit)
  monkeypatch.setattr(msgpack_write, 'LARGEST', limit)
  content = {'params': {'w': np.random.default_rng(0).standard_normal((rows, 10)).astype(np.float32),
                        'b': jnp.ones(3, jnp.bfloat16)}}
  (tmp_path / 'in').write_bytes(serialization.msgpack_serialize(content))
  found = open_checkpoint(tmp_path / 'in').tree
  assert_equal(values(found), content)
  msgpack_write.write(tmp_path / 'out', flat(found))
  assert (tmp_path / 'out').read_bytes() == (tmp_path / 'in').read_bytes()


def array(shape, dtype, content):
  return msgpack.ExtType(1, msgpack.packb((shape, dtype, content)))


PACK = msgpack.packb
HOSTILE_MSGPACK = {
  'a list of 2^32-1': b'\x81\xa1a\xdd\xff\xff\xff\xff', 'a map of 2^32-1': b'\xdf\xff\xff\xff\xff',
  'an object of 4 GB': b'\x81\xa1a\xc9\xff\xff\xff\xff\x01' + b'\0' * 4, 'bytes of 4 GB': b'\x81\xa1a\xc6\xff\xff\xff\xff',
  'a text of 4 GB': b'\x81\xdb\xff\xff\xff\xffa', 'a long text': PACK({'a' * 70000: 1}),
  'deep lists': b'\x81\xa1a' + b'\x91' * 100000 + b'\xc0', 'deep maps': b'\x81\xa1a' * 2000 + b'\xc0',
  'a huge shape': PACK({'a': array((1 << 40,), 'float32', b'\0' * 4)}),
  'objects': PACK({'a': array((1,), 'object', b'\0' * 8)}), 'records': PACK({'a': array((1,), 'V7,<f4', b'\0' * 8)}),
  'a negative size': PACK({'a': array((-1,), 'float32', b'\0' * 8)}),
  'a size that is a number with a point': PACK({'a': array((2.0,), 'float32', b'\0' * 8)}),
  'a name twice': b'\x82\xa1a\x01\xa1a\x02', 'a name as number and text': b'\x82\x01\x01\xa11\x02',
  'a list as a name': b'\x81\x90\x01', 'bytes behind the end': b'\x80\x00', 'bytes': PACK({'a': b'abc'}),
  'another object': PACK({'a': msgpack.ExtType(9, b'x')}), 'a time': b'\x81\xa1a\xd6\xff\0\0\0\0',
  'text that is none': b'\x81\xa1\xff\x01', 'an unused byte': b'\x81\xa1a\xc1',
  'a shape of another object': PACK({'a': msgpack.ExtType(1, PACK((3, 'float32', b'\0' * 4)))}),
  'an object that is too short': PACK({'a': msgpack.ExtType(1, PACK(((1,), 'float32', b'\0' * 4)) + b'\0')}),
  'split: another shape': PACK({'a': {'__msgpack_chunked_array__': True, 'shape': {'0': 1 << 40},
                                      'chunks': {'0': array((1,), 'float32', b'\0' * 4)}}}),
  'split: nothing': PACK({'a': {'__msgpack_chunked_array__': True, 'shape': {'0': 0}, 'chunks': {}}}),
  'split: gaps': PACK({'a': {'__msgpack_chunked_array__': True, 'shape': {'1': 1},
                             'chunks': {'0': array((1,), 'float32', b'\0' * 4)}}}),
  'a name that leads out': PACK({'params': {'../../evil': array((1,), 'float32', b'\0' * 4)}}),
  'a name with a slash': PACK({'params': {'a/b': array((1,), 'float32', b'\0' * 4)}}),
  'a name with a zero byte': PACK({'a\0b': 1}),
  'arrays in another folder': PACK({'a': '//GDAPlaceholder:a'}),
  'names that are one when joined': PACK({'a': {'b.c': 1}, 'a.b': {'c': 2}}),
}


@pytest.mark.parametrize('content', HOSTILE_MSGPACK.values(), ids=HOSTILE_MSGPACK)
def test_hostile_msgpack_is_refused(content, tmp_path):
  (tmp_path / 'in').write_bytes(content)
  with pytest.raises(CheckpointError):
    open_checkpoint(tmp_path / 'in')


def test_many_small_objects_are_refused(tmp_path, monkeypatch):
  from migrator.checkpoints.layouts import msgpack_index
  monkeypatch.setattr(msgpack_index, 'MOST', 1000)
  (tmp_path / 'in').write_bytes(PACK({'a': [None] * 2000}))
  with pytest.raises(CheckpointError, match='more than 1000 objects'):
    open_checkpoint(tmp_path / 'in')


def joined(tree, between, path=()):
  if isinstance(tree, dict):
    return {key: value for name, child in tree.items() for key, value in joined(child, between, (*path, name)).items()}
  return {between.join(path): tree}


@pytest.mark.parametrize('between', ['/', '.'])
def test_safetensors_is_read_as_its_library_reads_it(between, tmp_path):
  kinds = [kind for kind in KINDS if kind not in UNKNOWN_TO_SAFETENSORS | NOT_IN_ITS_NUMPY]
  content = {'params': {'a': arrays(kinds)}, 'batch_stats': {'bn': {'mean': np.ones(3, np.float32)}}}
  ordered = {key: np.array(value, order='C') for key, value in joined(content, between).items()}
  safetensors.numpy.save_file(ordered, tmp_path / 'in.safetensors', metadata={'format': 'flax'})
  found = open_checkpoint(tmp_path / 'in.safetensors')
  assert found.layout == 'safetensors'
  assert_equal(values(found.tree), content)
  own_safetensors.write(tmp_path / 'out', flat(found.tree))
  assert_equal(safetensors.numpy.load_file(tmp_path / 'out'), joined(content, '.'))


def test_safetensors_holds_small_floats_and_says_what_it_cannot_hold(tmp_path):
  content = {'a': {kind: np.arange(3).astype(kind) for kind in sorted(NOT_IN_ITS_NUMPY)}}
  (tmp_path / 'in').write_bytes(serialization.to_bytes(content))
  own_safetensors.write(tmp_path / 'out', flat(open_checkpoint(tmp_path / 'in').tree))
  assert_equal(values(open_checkpoint(tmp_path / 'out').tree), content)
  (tmp_path / 'in').write_bytes(serialization.to_bytes({'a': {'w': np.ones(3, 'int4')}}))
  with pytest.raises(CheckpointError, match='a.w: safetensors has no type int4'):
    own_safetensors.write(tmp_path / 'none', flat(open_checkpoint(tmp_path / 'in').tree))


def header(entries, data=b'\0' * 8, length=None):
  text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
  return struct.pack('<Q', len(text) if length is None else length) + text + data


F32 = {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}
HOSTILE_SAFETENSORS = {
  'a huge header': header({'a': F32}, length=1 << 60), 'a header that is cut': header({'a': F32}, length=5),
  'a list': header([]), 'a name twice': header(b'{"a": %b, "a": %b}' % ((json.dumps(F32).encode(),) * 2)),
  'a negative size': header({'a': {**F32, 'shape': [-2]}}), 'another shape': header({'a': {**F32, 'shape': [3]}}),
  'a huge shape': header({'a': {**F32, 'shape': [1 << 60, 1 << 60]}}),
  'beyond the end': header({'a': {**F32, 'data_offsets': [0, 16], 'shape': [4]}}),
  'overlapping': header({'a': F32, 'b': F32}), 'a hole': header({'a': {**F32, 'data_offsets': [4, 8], 'shape': [1]}}),
  'bytes behind': header({'a': F32}, b'\0' * 9), 'no offsets': header({'a': {'dtype': 'F32', 'shape': [2]}}),
  'an unknown type': header({'a': {**F32, 'dtype': 'F4'}}), 'no object': header({'a': 3}),
  'a name that leads out': header({'../a': F32}), 'an array below an array': header({
    'a': {**F32, 'shape': [1], 'data_offsets': [0, 4]}, 'a.b': {**F32, 'shape': [1], 'data_offsets': [4, 8]}}),
}


@pytest.mark.parametrize('content', HOSTILE_SAFETENSORS.values(), ids=HOSTILE_SAFETENSORS)
def test_hostile_safetensors_is_refused(content, tmp_path):
  (tmp_path / 'in.safetensors').write_bytes(content)
  with pytest.raises(CheckpointError):
    open_checkpoint(tmp_path / 'in.safetensors')


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('between', ['/', '.'])
def test_npz_is_read_as_numpy_reads_it(save, between, tmp_path):
  known = [kind for kind in KINDS if not hasattr(ml_dtypes, kind)]
  content = {'params': {'a': arrays(known), 'half': {'w': np.ones((2, 3), ml_dtypes.bfloat16)}}}
  save(tmp_path / 'in.npz', **joined(content, between))
  found = open_checkpoint(tmp_path / 'in.npz')
  assert found.layout == 'npz'
  assert_equal(values(found.tree), content)


def archive(entries, compression=zipfile.ZIP_STORED):
  made = io.BytesIO()
  with zipfile.ZipFile(made, 'w', compression) as opened:
    for name, content in entries:
      opened.writestr(name, content)
  return made.getvalue()


def npy(value, **more):
  made = io.BytesIO()
  np.save(made, value, **more)
  return made.getvalue()


def described(shape, dtype="'<f4'"):
  text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b'\n'
  return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text + b'\0' * 8


HOSTILE_NPZ = {
  'objects': [('a.npy', npy(np.array([{}], object), allow_pickle=True))],
  'records': [('a.npy', npy(np.zeros(2, [('x', 'f4')])))], 'one lost byte': [('a.npy', npy(np.ones(2, 'float8_e5m2')))],
  'a huge shape': [('a.npy', described('(1125899906842624,)'))], 'a negative size': [('a.npy', described('(-2,)'))],
  'code': [('a.npy', described("__import__('os').system('true')"))], 'no array': [('a.npy', b'hello')],
  'texts': [('a.npy', npy(np.array(['abc'])))], 'a name that leads out': [('../a.npy', npy(np.ones(2)))],
  'a long header': [('a.npy', described('(2,)' + ' ' * 20000))], 'cut': [('a.npy', npy(np.ones(9))[:-8])],
}


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize('entries', [*HOSTILE_NPZ.values(), [('a.npy', npy(np.ones(2)))] * 2],
                         ids=[*HOSTILE_NPZ, 'a name twice'])
def test_hostile_npz_is_refused(entries, compression, tmp_path):
  (tmp_path / 'in.npz').write_bytes(archive(entries, compression))
  with pytest.raises(CheckpointError):
    open_checkpoint(tmp_path / 'in.npz')


def test_a_bomb_is_refused(tmp_path, monkeypatch):
  from migrator.checkpoints.layouts import npz
  monkeypatch.setattr(npz, 'MOST_COMPRESSED', 1 << 20)
  np.savez_compressed(tmp_path / 'in.npz', a=np.zeros(1 << 20))
  with pytest.raises(CheckpointError, match='are compressed'):
    open_checkpoint(tmp_path / 'in.npz')


def writers():
  made = collections.OrderedDict()
  made['msgpack'] = lambda path, content: path.write_bytes(serialization.msgpack_serialize(content))
  made['safetensors'] = lambda path, content: safetensors.numpy.save_file(joined(content, '/'), path)
  made['npz'] = lambda path, content: np.savez(path.open('wb'), **joined(content, '/'))
  return made


@pytest.mark.parametrize('layout', writers())
def test_every_cut_is_refused(layout, tmp_path):
  file = tmp_path / 'whole'
  writers()[layout](file, {'params': {f'a{k}': np.full((5, 7), k, np.float32) for k in range(8)}})
  content = file.read_bytes()
  assert open_checkpoint(file).layout == layout
  for length in [*range(0, 60), *range(60, len(content), 37), len(content) - 1]:
    (tmp_path / 'cut').write_bytes(content[:length])
    with pytest.raises(CheckpointError):
      open_checkpoint(tmp_path / 'cut')
