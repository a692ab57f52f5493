"""The list of sums beside a checkpoint: CRC-32 of every chunk and every metadata file, made here.

A CRC-32 (zlib's) differs for every change of a single bit, and of any 32 bits in a row: it is made for
what disks do.  It is no signature.
"""
from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from migrator.checkpoints import bitrot
from migrator.checkpoints.storage import Chunk, Grid, Range, Stored

NAME = bitrot.NAME
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
  return chunk.length, bitrot.of_range(chunk.file, chunk.offset, chunk.length)


def content(made: Mapping[Names, Mapping[Grid, Sum]], arrays: Mapping[Names, Stored], place: Path) -> bytes:
  """Returns the list as JSON: where each chunk is, its length and sum; chunks in the index are in its files."""
  top = os.path.realpath(place)
  chunks = {'.'.join(path): [[os.path.relpath(chunk.file, top), chunk.offset, *made[path][grid]]
                             for grid, chunk in array.chunks.items() if isinstance(chunk, Range)]
            for path, array in arrays.items()}
  data = {row[0] for rows in chunks.values() for row in rows}
  names = sorted(file.relative_to(place).as_posix() for file in place.rglob('*') if file.is_file())
  files = {name: list(bitrot.of_file(place / name)) for name in names if name not in data and name != NAME}
  return bitrot.text({'format': bitrot.FORMAT, 'version': 1, 'sum': 'crc32', 'leaves': chunks, 'files': files})
