"""Compares a checkpoint with its list of sums.  Standard library only: reading is what takes the time."""
from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import folder
from migrator.checkpoints.errors import DAMAGED, CheckpointError

NAME = 'linen2nnx-sums.json'
FORMAT = 'linen2nnx-sums'
_STEP = 1 << 20


def check(path: Path) -> int:
  """Compares every byte of a checkpoint with its list of sums.

  Args:
    path: the folder with the list, or one with a single such item.

  Returns:
    The number of bytes that were read; small arrays lie in the files of the index.

  Raises:
    CheckpointError: there is no list, or bytes differ from it; the arrays and files are listed.
  """
  item = _item(path)
  listed = _parsed(folder.read_json(item, NAME), item)
  problems = [f'{name}: the file is not as it was written' for name, wanted in listed['files'].items()
              if _sum(item, name, 0, wanted[0], whole=True) != wanted[1]]
  from concurrent.futures import ThreadPoolExecutor
  jobs = sorted((row[0], row[1], row[2], row[3], name) for name, rows in listed['leaves'].items() for row in rows)
  with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
    found = pool.map(lambda job: _sum(item, *job[:3]), jobs)
    changed = {job[4] for job, value in zip(jobs, found) if value != job[3]}
  problems += [f'{name}: its bytes are not as they were written' for name in sorted(changed)]
  if problems:
    raise CheckpointError(f'{item}: differs from its list of sums; {DAMAGED}:', problems)
  return sum(job[2] for job in jobs) + sum(value[0] for value in listed['files'].values())


def _item(path: Path) -> Path:
  if (path / NAME).is_file():
    return path
  below = [child for child in path.iterdir() if (child / NAME).is_file()] if path.is_dir() else []
  if len(below) != 1:
    raise CheckpointError(f'{path}: it has no list of sums ({NAME}); `linen2nnx convert --verify deep` writes it')
  return below[0]


def _sum(item: Path, name: str, offset: int, length: int, whole: bool = False) -> int:
  """Returns the sum of a part of a file; -1 where there are no such bytes."""
  try:
    file, size = folder.inside(item, name)
  except CheckpointError:
    return -1
  return -1 if whole and size != length else of_range(file, offset, length)


def of_file(file: Path) -> tuple[int, int]:
  """Returns (size, CRC-32) of a file."""
  size = file.stat().st_size
  return size, of_range(str(file), 0, size)


def of_range(file: str, offset: int, length: int) -> int:
  """Returns the CRC-32 of a part of a file, read through one small buffer; -1 if the file ends before."""
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


def text(content: Mapping[str, Any]) -> bytes:
  """Returns a list as JSON, with the sum of itself."""
  return json.dumps({**content, 'own': zlib.crc32(json.dumps(content).encode())}).encode()


def _parsed(found: Any, item: Path) -> dict[str, Any]:
  """Returns a list that was read; raises CheckpointError for what is none, or is damaged itself."""
  if not isinstance(found, dict) or found.get('format') != FORMAT or found.get('version') != 1:
    raise CheckpointError(f'{item}: its {NAME} is no list of sums; {DAMAGED}')
  own = found.pop('own', None)
  if own != zlib.crc32(json.dumps(found).encode()):
    raise CheckpointError(f'{item}: its {NAME} is damaged itself; take another copy of it')
  return found
