"""Element types, single numbers and Zstandard frames: with and without NumPy and `zstandard`, to the same bits."""
from __future__ import annotations

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import tensorstore as ts
from trees import assert_same, flat, restored

from migrator.checkpoints import packed, storage, zstd
from migrator.checkpoints.dtypes import EXTENDED, DType, dtype_named, dtype_of, native
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import source, transpose
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.write import write_orbax
from migrator.weights import WeightsError, scalars

PLAIN = ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'float16', 'float32', 'float64',
         'complex64', 'complex128']


@pytest.mark.parametrize('name', [*PLAIN, *(name for name in EXTENDED if hasattr(ml_dtypes, name))])
def test_types_are_those_of_numpy(name):
  numpy = np.dtype(getattr(ml_dtypes, name) if name in EXTENDED else name)
  kind = dtype_named(name)
  assert (kind.name, kind.itemsize, str(kind)) == (numpy.name, numpy.itemsize, str(numpy))
  assert kind == numpy and numpy == kind and kind == numpy.type and dtype_of(numpy) == kind == dtype_named(kind.code)
  assert kind != np.dtype('S3') and kind != 'x' and kind is not None and kind != dtype_named('bool' if name != 'bool' else 'int8')
  assert np.zeros(3, kind).dtype == numpy and jnp.dtype(kind) == numpy
  assert kind.kind == numpy.kind or name in EXTENDED


@pytest.mark.parametrize('code', ['>f4', '<f4', '>i8', '>c8', '|u1', '>u1', '|b1'])
def test_the_order_of_bytes(code):
  kind, numpy = dtype_named(code), np.dtype(code)
  assert kind == numpy and str(kind) == str(numpy) and native(kind) == numpy.newbyteorder('=')
  number = numpy.type(1.5 if kind.kind in 'fc' else 1)
  assert kind.pack(number.item()) == np.asarray(number, numpy).tobytes() and kind.unpack(np.asarray(number, numpy).tobytes()) == number


@pytest.mark.parametrize('name', ['f4x', '<f3', 'object', '|O', '<m8', 'float128', '<f16', '', 'V4', None, 3])
def test_what_is_no_type(name):
  with pytest.raises(CheckpointError, match='element type'):
    dtype_named(name)


@pytest.mark.parametrize('number, name', [
  (7, 'uint32'), (-3, 'int64'), (0.5, 'float32'), (1e300, 'float32'), (float('nan'), 'float64'), (1 + 2j, 'complex64'), (True, 'bool')])
def test_single_numbers(number, name):
  made = scalars.given(number, name)
  with np.errstate(over='ignore'):
    assert np.asarray(made).tobytes() == np.asarray(number).astype(name).tobytes()
  assert repr(scalars.of(made)) == repr(np.asarray(number).astype(name).item())
  bfloat = source(('a',), storage.raw((), ml_dtypes.bfloat16, np.asarray(1.5, ml_dtypes.bfloat16).tobytes()))
  assert (scalars.of(bfloat), scalars.of(np.int32(4)), scalars.of(9), scalars.of(np.ones(3)), scalars.of('a')) == (1.5, 4, 9, None, None)
  with pytest.raises(WeightsError, match='cannot be written'):
    scalars.given(1, 'bfloat16')


def test_frames(saved):
  """What TensorStore compressed, and what damage makes of it."""
  if zstd.library() is None:
    pytest.skip('zstandard is not installed')
  leaf = open_checkpoint(saved[0]).leaves()['params', 'layers_0', 'cube']
  chunk = packed.content(next(iter(leaf.stored.chunks.values())))
  if not packed.is_known(leaf.stored.version, leaf.stored.metadata):
    return  # a shard
  whole = zstd.decompressed(chunk, leaf.nbytes)
  assert whole is not None and len(whole) == leaf.nbytes
  assert zstd.decompressed(b''.join(zstd.compressed(whole)), leaf.nbytes) == whole
  place = bytearray(leaf.nbytes)
  assert zstd.decompress_into(chunk, memoryview(place)) and bytes(place) == whole
  assert not zstd.decompress_into(chunk, memoryview(place)[:-1]) and not zstd.decompress_into(chunk, memoryview(bytearray(leaf.nbytes + 1)))
  for damaged in (chunk[:-3], chunk + b'x', b'', b'abc', chunk[1:], whole):
    assert zstd.decompressed(damaged, leaf.nbytes) is None
  for damaged in (chunk[:-3], b'', b'abc', chunk[1:], whole):
    assert not zstd.decompress_into(damaged, memoryview(place))
  assert zstd.decompressed(chunk, leaf.nbytes - 1) is None
  assert zstd.decompressed(b''.join(zstd.compressed(bytes(1 << 24))), 1 << 20) is None


@pytest.mark.parametrize('with_library', [True, False])
def test_computed_with_and_without_the_library(saved, with_library, tmp_path, monkeypatch):
  path, wanted = saved
  if not with_library:
    monkeypatch.setattr(zstd, 'library', lambda: None)
  elif zstd.library() is None:
    pytest.skip('zstandard is not installed')
  plan = {name: transpose(leaf) for name, leaf in open_checkpoint(path).leaves().items()}
  written = write_orbax(plan, tmp_path / 'out', reencode=True, deep=True)
  assert written.linked < 20_000 and written.checked == 'deep'
  assert_same(restored(tmp_path / 'out'), {name: np.asarray(value).T.copy() for name, value in restored(path).items()})


def test_numpy_and_jax_take_a_type():
  kind = DType('float32', 'f', 4)
  assert np.asarray([1, 2], kind).dtype == np.float32 and flat({'a': jnp.ones(2, kind)})['a',].dtype == np.float32
  assert (1, np.dtype('float32')) == (1, kind) and len({kind, dtype_named('float32')}) == 1
  assert ts.dtype(kind.dtype).name == 'float32'
