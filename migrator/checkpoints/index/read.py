"""Reads an OCDBT index through TensorStore, which checks its CRC-32C sums: no array byte is read.

TensorStore follows links to anywhere; here each file is looked up inside the checkpoint first.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.folder import inside
from migrator.checkpoints.storage import Chunk, Range

HIGHEST = 16
# A node is read whole.  TensorStore writes nodes of 100 MB at most.
MOST_NODE = 1 << 29


def entries(root: Path) -> dict[str, Chunk]:
  """Returns {key: bytes held in the index | where they are} of the newest version.

  Raises:
    CheckpointError: damaged, or a reference that leads outside the checkpoint or past a file's end.
  """
  import tensorstore as ts
  top = os.path.realpath(root)
  inside(top, 'manifest.ocdbt')
  base = ts.KvStore.open({'driver': 'file', 'path': top + '/'}).result()
  manifest = _dumped(ts, base, None, top)
  versions = manifest.get('versions')
  if not versions:
    raise CheckpointError(f'{root}: its manifest.ocdbt lists no version; {DAMAGED}')
  newest = versions[-1]
  found: dict[str, Chunk] = {}
  location = newest['root'].get('location')
  if location is not None:
    files = _Files(top)
    for key, value in _walk(ts, base, files, location, newest['root_height'], b''):
      found[_text(key, top)] = value
  return found


class _Files:
  """Sizes and real paths of the data files, each looked up once."""

  def __init__(self, root: str):
    self.root = root
    self._known: dict[str, tuple[str, int]] = {}

  def range(self, location: str, kind: str) -> Range:
    """Returns what 'value:<base>:<path>:<offset>:<length>' refers to, checked against the file's size."""
    named, base, relative, offset, length = location.split(':')
    path = unquote(base) + unquote(relative)
    if named != kind:
      raise CheckpointError(f'{self.root}: {location[:200]!r} is no {kind}; {DAMAGED}')
    if path not in self._known:
      self._known[path] = inside(self.root, path)
    file, size = self._known[path]
    if int(offset) + int(length) > size:
      raise CheckpointError(f'{self.root}: bytes {offset} to {int(offset) + int(length)} of {path} are needed, '
                            f'the file has {size}; {DAMAGED}')
    return Range(file, int(offset), int(length))


def _walk(ts: Any, base: Any, files: _Files, location: str, height: int, prefix: bytes) -> Iterator[tuple[bytes, Chunk]]:
  if height > HIGHEST:
    raise CheckpointError(f'{files.root}: the index has more than {HIGHEST} levels; {DAMAGED}')
  if files.range(location, 'btreenode').length > MOST_NODE:
    raise CheckpointError(f'{files.root}: a node of the index has more than {MOST_NODE} bytes; {DAMAGED}')
  node = _dumped(ts, base, location, files.root)
  if node['height'] != height:
    raise CheckpointError(f'{files.root}: the levels of the index do not fit together; {DAMAGED}')
  for entry in node['entries']:
    if height:
      below = prefix + _bytes(entry.get('subtree_common_prefix', b''))
      yield from _walk(ts, base, files, entry['location'], height - 1, below)
    elif 'inline_value' in entry:
      yield prefix + _bytes(entry['key']), _bytes(entry['inline_value'])
    else:
      key = prefix + _bytes(entry['key'])
      try:
        yield key, files.range(entry['indirect_value'], 'value')
      except CheckpointError as error:
        raise CheckpointError(f'{key.decode(errors="replace")}: {error}') from error


def _dumped(ts: Any, base: Any, location: str | None, root: str) -> dict[str, Any]:
  try:
    made: dict[str, Any] = (ts.ocdbt.dump(base) if location is None else ts.ocdbt.dump(base, location)).result()
  except Exception as error:  # TensorStore raises several types; each means that it cannot be read
    reason = str(error).strip().splitlines()[0][:300]
    raise CheckpointError(f'{root}: its OCDBT index cannot be read ({reason}); {DAMAGED}') from error
  return made


def _bytes(value: bytes | str) -> bytes:
  return value if isinstance(value, bytes) else value.encode()


def _text(key: bytes, root: str) -> str:
  try:
    return key.decode()
  except UnicodeDecodeError as error:
    raise CheckpointError(f'{root}: the key {key[:80]!r} is no text; {DAMAGED}') from error
