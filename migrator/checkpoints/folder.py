"""Files of a checkpoint on a local disk: found inside its folder only, read in bounded pieces."""
from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from migrator.checkpoints.errors import DAMAGED, CheckpointError

# Metadata of a hundred thousand leaves is about 40 MB.
MOST_METADATA = 1 << 30


class Real(str):
  """The path of a folder without symlinks in it: looked up once for all of its files."""


def real(root: str | Path) -> Real:
  """Returns the real path of a folder."""
  return root if isinstance(root, Real) else Real(os.path.realpath(root))


def inside(root: str | Path, relative: str) -> tuple[str, int]:
  """Returns (real path, size) of a regular file in a folder.

  Raises:
    CheckpointError: the name or a symlink leads out of the folder, or there is no such file.
  """
  shown = repr(relative[:200])
  parts = relative.split('/')
  if not relative or '\0' in relative or any(part in ('', '.', '..') for part in parts):
    raise CheckpointError(f'{root}: the data file {shown} lies outside the checkpoint; {DAMAGED}')
  top = real(root)
  place: str = top
  try:
    for part in parts:
      place = f'{place.rstrip(os.sep)}/{part}'
      found = os.lstat(place)
      if stat.S_ISLNK(found.st_mode):
        place = os.path.realpath(os.path.join(top, relative))
        if not place.startswith(top.rstrip(os.sep) + os.sep):
          raise CheckpointError(f'{root}: {shown} is a link that leads outside the checkpoint; {DAMAGED}')
        found = os.stat(place)
        break
  except OSError as error:
    raise CheckpointError(f'{root}: the file {shown} is missing ({error.strerror}); {DAMAGED}') from error
  if not stat.S_ISREG(found.st_mode):
    raise CheckpointError(f'{root}: {shown} is no file; {DAMAGED}')
  return place, found.st_size


def read(file: str, offset: int, length: int) -> bytes:
  """Returns bytes of a file; raises CheckpointError where it is too short."""
  with open(file, 'rb') as opened:
    content = os.pread(opened.fileno(), length, offset)
    while len(content) < length:
      more = os.pread(opened.fileno(), length - len(content), offset + len(content))
      if not more:
        raise CheckpointError(f'{file}: ends at byte {offset + len(content)}, {offset + length} are needed; {DAMAGED}')
      content += more
  return content


def read_into(file: str, offset: int, place: memoryview) -> None:
  """Fills a place with bytes of a file; raises CheckpointError where it is too short."""
  done = 0
  with open(file, 'rb') as opened:
    while done < len(place):
      count = os.preadv(opened.fileno(), [place[done:]], offset + done)
      if not count:
        raise CheckpointError(f'{file}: ends at byte {offset + done}, {offset + len(place)} are needed; {DAMAGED}')
      done += count


def read_json(root: str | Path, relative: str, own: bool = False) -> Any:
  """Returns a JSON file of a checkpoint; duplicate keys (but for files of our own), absurd sizes and depths are refused."""
  file, size = inside(root, relative)
  if size > MOST_METADATA:
    raise CheckpointError(f'{file}: {size} bytes of metadata; {DAMAGED}')
  return parse_json(read(file, 0, size), file, own)


def parse_json(content: bytes, name: str, own: bool = False) -> Any:
  """Returns parsed JSON; raises CheckpointError with the name of what holds it."""
  try:
    return json.loads(content.decode('utf-8'), object_pairs_hook=None if own else _distinct)
  except (ValueError, RecursionError) as error:
    raise CheckpointError(f'{name}: cannot be read ({type(error).__name__}: {str(error)[:200]}); {DAMAGED}') from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  made = dict(pairs)
  if len(made) != len(pairs):
    raise ValueError('a key stands twice')
  return made
