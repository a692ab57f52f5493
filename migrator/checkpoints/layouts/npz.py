"""npz files whose keys are paths: a zip archive of .npy files.

Formats: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (zip) and
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (npy).  What `numpy.savez` stored
without compression is used where it lies; compressed members are decoded.  Nothing is unpickled.
"""
from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from migrator.checkpoints import expressions, folder, storage
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.dtypes import DType, dtype_named
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.layouts.paths import nested, separated
from migrator.checkpoints.storage import Range

NAME = 'npz'
# Compressed members are held in memory while they are converted.
MOST_COMPRESSED = 1 << 31
_LONGEST_HEADER = 1 << 14


def recognises(path: Path) -> bool:
  """Whether the file begins as a zip archive does."""
  if not path.is_file():
    return False
  with path.open('rb') as file:
    return file.read(4) == b'PK\x03\x04'


def read(path: Path) -> Checkpoint:
  """Returns the checkpoint of a file.  Raises CheckpointError where it is damaged or holds objects."""
  file = os.path.realpath(path)
  try:
    with zipfile.ZipFile(file) as archive:
      members = archive.infolist()
      names = [member.filename.removesuffix('.npy') for member in members]
      if len(set(names)) != len(names):
        raise CheckpointError(f'{path}: a name is there twice; {DAMAGED}')
      held = sum(member.file_size for member in members if member.compress_type != zipfile.ZIP_STORED)
      if held > MOST_COMPRESSED:
        raise CheckpointError(f'{path}: {held} bytes are compressed; write it again with numpy.savez, uncompressed')
      arrays = {name: _array(archive, file, member) for name, member in zip(names, members)}
  except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
    raise CheckpointError(f'{path}: no npz file ({error}); {DAMAGED}') from error
  return Checkpoint(path, NAME, nested({parts: _leaf(parts, arrays[name])
                                        for name, parts in separated(arrays, path).items()}, path))


def _leaf(path: tuple[str, ...], found: storage.Stored | np.ndarray) -> expressions.Expression:
  return expressions.expression(found) if isinstance(found, np.ndarray) else expressions.source(path, found)


def _array(archive: zipfile.ZipFile, file: str, member: zipfile.ZipInfo) -> storage.Stored | np.ndarray:
  where = f'{file}: {member.filename[:200]!r}'
  try:
    if member.compress_type == zipfile.ZIP_STORED:
      start, length = _place(file, member, where)
      head = io.BytesIO(folder.read(file, start, min(length, _LONGEST_HEADER)))
      shape, order, dtype = _described(head, where)
      return storage.raw(shape, dtype, Range(file, start + head.tell(), length - head.tell()), order)
    with archive.open(member) as opened:
      shape, order, dtype = _described(opened, where)
      size = math.prod(shape) * dtype.itemsize
      if size > member.file_size:
        raise CheckpointError(f'{where}: its shape {shape} needs {size} bytes, {member.file_size} are there; {DAMAGED}')
      content = opened.read(size + 1)
      storage.raw(shape, dtype, content)  # for its checks
      return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)  # type: ignore[call-overload]
  except CheckpointError as error:
    raise error if str(error).startswith(file) else CheckpointError(f'{where}: {error}; {DAMAGED}') from error
  except (ValueError, zipfile.BadZipFile) as error:
    raise CheckpointError(f'{where}: no array ({str(error)[:200]}); {DAMAGED}') from error


def _place(file: str, member: zipfile.ZipInfo, where: str) -> tuple[int, int]:
  """Returns (offset, length) of a stored member: behind its local header, which has sizes of its own."""
  header = folder.read(file, member.header_offset, 30)
  if header[:4] != b'PK\x03\x04' or member.compress_size != member.file_size or member.flag_bits & 1:
    raise CheckpointError(f'{where}: its entry in the archive is damaged; {DAMAGED}')
  name, extra = (int.from_bytes(header[at:at + 2], 'little') for at in (26, 28))
  start = member.header_offset + 30 + name + extra
  if start + member.file_size > os.path.getsize(file):
    raise CheckpointError(f'{where}: its bytes end behind the end of the file; {DAMAGED}')
  return start, member.file_size


def _described(opened: IO[bytes], where: str) -> tuple[tuple[int, ...], str, DType]:
  """Returns (shape, order, dtype) from a .npy header and leaves the file behind it."""
  version = np.lib.format.read_magic(opened)
  reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
  if reader is None:
    raise CheckpointError(f'{where}: npy version {version} is not known')
  shape, fortran, found = reader(opened, max_header_size=10_000)
  return shape, 'F' if fortran else 'C', _element(found, where)


def _element(found: np.dtype, where: str) -> DType:
  if found.hasobject or found.names is not None or found.subdtype is not None:
    raise CheckpointError(f'{where}: holds Python objects or records, not numbers; nothing is unpickled')
  if found.kind == 'V' and found.itemsize == 2:
    return dtype_named('bfloat16')  # numpy.save forgets the name; no other type of JAX has two bytes
  if found.kind == 'V':
    raise CheckpointError(f'{where}: numpy.save forgot which type of {found.itemsize} bytes this is; '
                          'save it as Orbax, msgpack or safetensors')
  return dtype_named(found.str)
