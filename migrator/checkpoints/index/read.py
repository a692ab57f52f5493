"""Reads an OCDBT index, without TensorStore, whose import costs more than a whole conversion by index.

Specification: https://google.github.io/tensorstore/kvstore/ocdbt, 'Storage format'.  Every sum and every length is
checked before it is used.  What this reader does not know (manifests in several files, Zstandard where `zstandard` is
not installed) TensorStore reads; tests compare the two on every layout.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from migrator.checkpoints import folder, zstd
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.index.crc32c import crc32c
from migrator.checkpoints.index.files import MOST_NODE, Files, text
from migrator.checkpoints.index.write import MANIFEST, MANIFEST_MAGIC, NODE_MAGIC
from migrator.checkpoints.storage import Chunk

_HEAD, _SUM = 14, 4


class _UnknownError(Exception):
  """A form of the index that is not read here."""


class _DamagedError(Exception):
  """Bytes that are no index, in words."""


def entries(root: Path) -> dict[str, Chunk]:
  """Returns {key: bytes held in the index | where they are} of the newest version.

  Raises:
    CheckpointError: damaged, or a reference that leads outside the checkpoint or past a file's end.
  """
  top = folder.real(root)
  try:
    return _entries(top)
  except _UnknownError:
    from migrator.checkpoints.index import through_tensorstore
    return through_tensorstore.entries(root)
  except _DamagedError as error:
    raise CheckpointError(f'{top}: its OCDBT index cannot be read ({error}); {DAMAGED}') from error


def _entries(top: str) -> dict[str, Chunk]:
  files = Files(top)
  file, size = folder.inside(top, MANIFEST)
  manifest = _body(folder.read(file, 0, min(size, MOST_NODE)), MANIFEST_MAGIC)
  manifest.take(16)
  if manifest.number():
    raise _UnknownError('the versions lie in files of their own')
  manifest.numbers(2)
  manifest.take(1)
  if manifest.number():
    manifest.take(4)
  names = _names(manifest)
  count = manifest.number()
  if not count:
    raise _DamagedError('no version is there')
  manifest.numbers(count)
  heights = manifest.take(count)
  which, offsets, lengths = manifest.numbers(count), manifest.numbers(count), manifest.numbers(count)
  found: dict[str, Chunk] = {}
  if lengths[-1]:
    base, relative = _at(names, which[-1])
    for key, chunk in _walk(files, base, relative, offsets[-1], lengths[-1], heights[-1], b'', set()):
      name = text(key, top)
      if name in found:
        raise _DamagedError(f'the key {name[:80]!r} stands twice')
      found[name] = chunk
  return found


def _walk(files: Files, base: str, relative: str, offset: int, length: int, height: int, prefix: bytes,
          seen: set[tuple[str, int]]) -> Iterator[tuple[bytes, Chunk]]:
  place = files.node(base + relative, offset, length, height)
  if (place.file, offset) in seen:
    raise _DamagedError('a node stands in two places')
  seen.add((place.file, offset))
  node = _body(folder.read(place.file, offset, length), NODE_MAGIC)
  if node.take(1)[0] != height:
    raise _DamagedError('its levels do not fit together')
  names, count = _names(node), node.number()
  keys, common = _keys(node, count, height > 0)
  if not height:
    yield from _leaves(files, base, node, names, [prefix + key for key in keys])
    return
  which, offsets, lengths = node.numbers(count), node.numbers(count), node.numbers(count)
  for number, key in enumerate(keys):
    below, name = _at(names, which[number])
    yield from _walk(files, base + below, name, offsets[number], lengths[number], height - 1,
                     prefix + key[:common[number]], seen)


def _leaves(files: Files, base: str, node: _Bytes, names: list[tuple[str, str]],
            keys: list[bytes]) -> Iterator[tuple[bytes, Chunk]]:
  lengths, kinds = node.numbers(len(keys)), node.numbers(len(keys))
  count = sum(kind == 1 for kind in kinds)
  which, offsets = iter(node.numbers(count)), iter(node.numbers(count))
  for key, length, kind in zip(keys, lengths, kinds):
    if kind > 1:
      raise _DamagedError(f'a value of kind {kind}')
    if not kind:
      yield key, node.take(length)
      continue
    try:
      yield key, files.range(base + ''.join(_at(names, next(which))), next(offsets), length)
    except CheckpointError as error:
      raise CheckpointError(f'{key.decode(errors="replace")}: {error}') from error
  if not node.is_at_end():
    raise _DamagedError('bytes are left in a node')


class _Bytes:
  """Bytes that are read from their start."""

  def __init__(self, content: bytes):
    self._content, self._at = content, 0

  def is_at_end(self) -> bool:
    return self._at == len(self._content)

  def take(self, count: int) -> bytes:
    if self._at + count > len(self._content):
      raise _DamagedError('a node ends too early')
    self._at += count
    return self._content[self._at - count:self._at]

  def number(self) -> int:
    return self.numbers(1)[0]

  def numbers(self, count: int) -> list[int]:
    """Returns numbers of seven bits per byte, the lowest first."""
    content, at = self._content, self._at
    if count > len(content) - at:
      raise _DamagedError('more entries than bytes')
    made = []
    try:
      for _ in range(count):
        value = content[at]
        at += 1
        if value > 127:
          value &= 127
          shift = 7
          while True:
            more = content[at]
            at += 1
            value |= (more & 127) << shift
            if more < 128:
              break
            shift += 7
          if value >> 64:
            raise _DamagedError('a number has more than 64 bits')
        made.append(value)
    except IndexError as error:
      raise _DamagedError('a node ends too early') from error
    self._at = at
    return made


def _body(content: bytes, magic: int) -> _Bytes:
  """Returns what is in the frame of a manifest or node."""
  if len(content) < _HEAD + _SUM or int.from_bytes(content[:4], 'big') != magic:
    raise _DamagedError('it begins with other bytes')
  if int.from_bytes(content[4:12], 'little') != len(content):
    raise _DamagedError(f'{len(content)} bytes are there, {int.from_bytes(content[4:12], "little")} are told of')
  if crc32c(content[:-_SUM]) != int.from_bytes(content[-_SUM:], 'little'):
    raise _DamagedError('its CRC-32C sum is another one')
  version, compression = content[12], content[13]
  if version or compression > 1 or (compression and zstd.library() is None):
    raise _UnknownError('another version or compression')
  body: bytes | None = content[_HEAD:-_SUM]
  if compression:
    body = zstd.decompressed(body or b'', MOST_NODE)
  if body is None:
    raise _DamagedError('a node cannot be decompressed')
  return _Bytes(body)


def _names(node: _Bytes) -> list[tuple[str, str]]:
  """Returns the table of files, as (base path, path below it)."""
  count = node.number()
  if not count:
    return []
  shared, rest, bases = [0, *node.numbers(count - 1)], node.numbers(count), node.numbers(count)
  made = []
  for path, base in zip(_joined(node, shared, rest), bases):
    if base > len(path):
      raise _DamagedError('a base path is longer than its path')
    try:
      made.append((path[:base].decode(), path[base:].decode()))
    except UnicodeDecodeError as error:
      raise _DamagedError('the name of a file is no text') from error
  return made


def _keys(node: _Bytes, count: int, interior: bool) -> tuple[list[bytes], list[int]]:
  """Returns the keys, and of interior nodes the length of the part that is left out below."""
  if not count:
    return [], []
  shared, rest = [0, *node.numbers(count - 1)], node.numbers(count)
  common = node.numbers(count) if interior else []
  return list(_joined(node, shared, rest)), common


def _joined(node: _Bytes, shared: list[int], rest: list[int]) -> Iterator[bytes]:
  """Yields texts of which each begins like the one before it."""
  before = b''
  for start, length in zip(shared, rest):
    if start > len(before):
      raise _DamagedError('a key begins like a longer one')
    before = before[:start] + node.take(length)
    yield before


def _at(names: list[tuple[str, str]], number: int) -> tuple[str, str]:
  if number >= len(names):
    raise _DamagedError('a file that is not in its table')
  return names[number]
