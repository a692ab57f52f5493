"""The list of sums beside a checkpoint: CRC-32 of every chunk and every metadata file.

A CRC-32 (zlib's) differs for every change of a single bit, and of any 32 bits in a row: it is made for
what disks do.  It is no signature.
"""
from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from migrator.checkpoints import names, zarr
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.storage import Chunk, Grid, Stored

NAME = 'linen2nnx-sums.json'
_FORMAT = 'linen2nnx-sums'
_STEP = 1 << 20
Names = tuple[str, ...]
# (length, CRC-32).
Sum = tuple[int, int]


def of_arrays(arrays: Mapping[Names, Stored]) -> dict[Names, dict[Grid, Sum]]:
  """Returns the sums of all chunks as they are on disk, read in the order of the files."""
  jobs = [(path, grid, chunk) for path, array in arrays.items() for grid, chunk in array.chunks.items()]
  jobs.sort(key=lambda job: ('', 0) if isinstance(job[2], bytes) else (job[2].file, job[2].offset))
  made: dict[Names, dict[Grid, Sum]] = {path: {} for path in arrays}
  with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
    for (path, grid, _), value in zip(jobs, pool.map(lambda job: _of_chunk(job[2]), jobs, chunksize=1)):
      made[path][grid] = value
  return made


def _of_chunk(chunk: Chunk) -> Sum:
  if isinstance(chunk, bytes):
    return len(chunk), zlib.crc32(chunk)
  return chunk.length, _of_range(chunk.file, chunk.offset, chunk.length)


def _of_range(file: str, offset: int, length: int) -> int:
  """Returns the sum of a part of a file, read through one small buffer; a file that ends early sums differently."""
  buffer = bytearray(min(_STEP, max(length, 1)))
  view, value, done = memoryview(buffer), 0, 0
  descriptor = os.open(file, os.O_RDONLY)
  try:
    while done < length:
      count = os.preadv(descriptor, [view[:min(_STEP, length - done)]], offset + done)
      if not count:
        return -1
      value = zlib.crc32(view[:count], value)
      done += count
  finally:
    os.close(descriptor)
  return value


def content(made: Mapping[Names, Mapping[Grid, Sum]], arrays: Mapping[Names, Stored], place: Path) -> bytes:
  """Returns the list as JSON."""
  leaves = {'.'.join(path): {zarr.chunk_key(arrays[path].version, arrays[path].metadata, grid): list(value)
                             for grid, value in chunks.items()} for path, chunks in made.items()}
  files = {name: list(_of_file(place / name)) for name in _metadata_files(place)}
  return json.dumps({'format': _FORMAT, 'version': 1, 'sum': 'crc32', 'leaves': leaves, 'files': files}).encode()


def _of_file(file: Path) -> Sum:
  size = file.stat().st_size
  return size, _of_range(str(file), 0, size)


def _metadata_files(place: Path) -> Iterator[str]:
  for file in sorted(place.rglob('*')):
    relative = file.relative_to(place).as_posix()
    if file.is_file() and not relative.startswith('d/') and relative != NAME:
      yield relative


def parse(found: Any, item: Path) -> dict[str, Any]:
  """Returns a list that was read; raises CheckpointError for what is none."""
  if not isinstance(found, dict) or found.get('format') != _FORMAT or found.get('version') != 1:
    raise CheckpointError(f'{item}: its {NAME} is no list of sums; {DAMAGED}')
  return found


def compare(listed: Mapping[str, Any], item: Path, read: Callable[[], Mapping[Names, Stored]]) -> int:
  """Compares a checkpoint with its list; returns the bytes read.  Raises CheckpointError with the leaves."""
  problems = []
  for name, value in listed['files'].items():
    file = item / name
    if names.problem(tuple(name.split('/'))) or not file.is_file() or list(_of_file(file)) != value:
      problems.append(f'{name}: the file is not as it was written')
  try:
    arrays = read()
  except CheckpointError as error:
    raise CheckpointError(f'{item}: {error}', problems) from error
  made = of_arrays(arrays)
  now = {'.'.join(path): {zarr.chunk_key(arrays[path].version, arrays[path].metadata, grid): list(value)
                          for grid, value in chunks.items()} for path, chunks in made.items()}
  for name in sorted(set(now) | set(listed['leaves'])):
    if now.get(name) != listed['leaves'].get(name):
      problems.append(f'{name}: its bytes are not as they were written')
  if problems:
    raise CheckpointError(f'{item}: differs from its list of sums; {DAMAGED}:', problems)
  return sum(value[0] for chunks in made.values() for value in chunks.values())
