"""Reads an OCDBT index through TensorStore, which checks its CRC-32C sums: no array byte is read.

For what `index.read` does not know, and as a second reader that shares nothing with it.

TensorStore follows links to anywhere; here each file is looked up inside the checkpoint first.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.folder import inside, real
from migrator.checkpoints.index.files import Files, text
from migrator.checkpoints.storage import Chunk


def entries(root: Path) -> dict[str, Chunk]:
  """Returns {key: bytes held in the index | where they are} of the newest version.

  Raises:
    CheckpointError: damaged, or a reference that leads outside the checkpoint or past a file's end.
  """
  import tensorstore as ts
  top = real(root)
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
    files = Files(top)
    for key, value in _walk(ts, base, files, location, newest['root_height'], b''):
      found[text(key, top)] = value
  return found


def _walk(ts: Any, base: Any, files: Files, location: str, height: int, prefix: bytes) -> Iterator[tuple[bytes, Chunk]]:
  files.node(*_told(location, 'btreenode', files.root), height)
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
        yield key, files.range(*_told(entry['indirect_value'], 'value', files.root))
      except CheckpointError as error:
        raise CheckpointError(f'{key.decode(errors="replace")}: {error}') from error


def _told(location: str, kind: str, root: str) -> tuple[str, int, int]:
  """Returns (path, offset, length) of '<kind>:<base>:<path>:<offset>:<length>'."""
  named, base, relative, offset, length = location.split(':')
  if named != kind:
    raise CheckpointError(f'{root}: {location[:200]!r} is no {kind}; {DAMAGED}')
  return unquote(base) + unquote(relative), int(offset), int(length)


def _dumped(ts: Any, base: Any, location: str | None, root: str) -> dict[str, Any]:
  try:
    made: dict[str, Any] = (ts.ocdbt.dump(base) if location is None else ts.ocdbt.dump(base, location)).result()
  except Exception as error:  # TensorStore raises several types; each means that it cannot be read
    reason = str(error).strip().splitlines()[0][:300]
    raise CheckpointError(f'{root}: its OCDBT index cannot be read ({reason}); {DAMAGED}') from error
  return made


def _bytes(value: bytes | str) -> bytes:
  return value if isinstance(value, bytes) else value.encode()
