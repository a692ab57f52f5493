"""Writes an OCDBT database: one manifest, and B+tree nodes that refer to bytes in any file beside it.

Specification: https://google.github.io/tensorstore/kvstore/ocdbt, 'Storage format'.  TensorStore copies
by reference only within one database and cannot refer to bytes of other formats, so that nodes are written here;
`verify` reads them back before a target appears, and `--verify deep` through TensorStore.
"""
from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable, Mapping, Sequence

from migrator.checkpoints.index.crc32c import crc32c
from migrator.checkpoints.storage import Chunk

MANIFEST = 'manifest.ocdbt'
MANIFEST_MAGIC, NODE_MAGIC = 0x0CDB3A2A, 0x0CDB20DE
MOST_INLINE = 1024
# Keys per leaf node: a node is read whole, and is to stay far below TensorStore's limit of 100 MB.
PER_NODE = 50_000

# Where a value is: bytes held in the node, or (file relative to the database, offset, length).
Place = bytes | tuple[str, int, int]


def files(entries: Mapping[str, Place], folder: str = 'd') -> dict[str, bytes]:
  """Returns {relative file name: content} of a database with these entries; the manifest is last."""
  keyed = sorted((key.encode(), value) for key, value in entries.items())
  made: dict[str, bytes] = {}
  height = 0
  nodes = [_leaf(keyed[start:start + PER_NODE], made, folder) for start in range(0, max(len(keyed), 1), PER_NODE)]
  while len(nodes) > 1:
    height += 1
    nodes = [_interior(nodes[start:start + PER_NODE], height, made, folder) for start in range(0, len(nodes), PER_NODE)]
  made[MANIFEST] = _manifest(nodes[0], height)
  return made


class _Node:
  """What the level above says of a node: first key, file, size, and totals below it."""

  def __init__(self, key: bytes, name: str, size: int, keys: int, tree: int, values: int):
    self.key, self.name, self.size = key, name, size
    self.keys, self.tree, self.values = keys, tree, values


def _leaf(entries: Sequence[tuple[bytes, Place]], made: dict[str, bytes], folder: str) -> _Node:
  places = [value for _, value in entries]
  indirect = [value for value in places if isinstance(value, tuple)]
  names = sorted({value[0] for value in indirect})
  number = {name: position for position, name in enumerate(names)}
  body = b''.join([
    b'\0', _file_table(names), _varint(len(entries)), _keys([key for key, _ in entries]),
    _varints(value[2] if isinstance(value, tuple) else len(value) for value in places),
    _varints(int(isinstance(value, tuple)) for value in places),
    _varints(number[value[0]] for value in indirect), _varints(value[1] for value in indirect),
    b''.join(value for value in places if isinstance(value, bytes))])
  content = _framed(NODE_MAGIC, body)
  name = _named(content, made, folder)
  return _Node(entries[0][0] if entries else b'', name, len(content), len(entries), len(content),
               sum(value[2] for value in indirect))


def _interior(nodes: Sequence[_Node], height: int, made: dict[str, bytes], folder: str) -> _Node:
  """A node over nodes.  Keys below are stored whole: the common prefix that could be left out is empty."""
  names = sorted(node.name for node in nodes)
  number = {name: position for position, name in enumerate(names)}
  body = b''.join([
    bytes([height]), _file_table(names), _varint(len(nodes)),
    _keys([node.key for node in nodes], between=_varints(0 for _ in nodes)),
    _varints(number[node.name] for node in nodes), _varints(0 for _ in nodes), _varints(node.size for node in nodes),
    _varints(node.keys for node in nodes), _varints(node.tree for node in nodes),
    _varints(node.values for node in nodes)])
  content = _framed(NODE_MAGIC, body)
  name = _named(content, made, folder)
  return _Node(nodes[0].key, name, len(content), sum(node.keys for node in nodes),
               len(content) + sum(node.tree for node in nodes), sum(node.values for node in nodes))


def _manifest(root: _Node, height: int) -> bytes:
  uncompressed, arity_log2 = 0, 4
  config = (os.urandom(16) + _varint(0) + _varint(MOST_INLINE) + _varint(100_000_000)
            + bytes([arity_log2]) + _varint(uncompressed))
  generation = 1
  version = (_varint(1) + _varint(generation) + bytes([height]) + _varint(0) + _varint(0) + _varint(root.size)
             + _varint(root.keys) + _varint(root.tree) + _varint(root.values) + struct.pack('<Q', time.time_ns()))
  return _framed(MANIFEST_MAGIC, config + _file_table([root.name]) + version + _varint(0))


def _named(content: bytes, made: dict[str, bytes], folder: str) -> str:
  name = f'{folder}/{os.urandom(16).hex()}'
  made[name] = content
  return name


def _framed(magic: int, body: bytes) -> bytes:
  """Magic, total length, format version 0, no compression, the body, and the CRC-32C of all that."""
  length = 4 + 8 + 2 + len(body) + 4
  content = struct.pack('>I', magic) + struct.pack('<Q', length) + b'\0\0' + body
  return content + struct.pack('<I', crc32c(content))


def _file_table(names: Sequence[str]) -> bytes:
  """Paths with an empty base path each."""
  coded = [name.encode() for name in names]
  return _varint(len(coded)) + _keys(coded, between=_varints(0 for _ in coded))


def _keys(keys: Sequence[bytes], between: bytes = b'') -> bytes:
  """Returns prefix lengths, suffix lengths, what stands between, and the suffixes."""
  shared = [_common(before, after) for before, after in zip(keys, keys[1:])]
  starts = [0, *shared]
  return b''.join([_varints(shared), _varints(len(key) - start for key, start in zip(keys, starts)), between,
                   *(key[start:] for key, start in zip(keys, starts))])


def _common(first: bytes, second: bytes) -> int:
  """Returns the length of the common prefix, by halves."""
  low, high = 0, min(len(first), len(second))
  while low < high:
    middle = (low + high + 1) // 2
    if first[low:middle] == second[low:middle]:
      low = middle
    else:
      high = middle - 1
  return low


def _varint(number: int) -> bytes:
  if number < 128:
    return bytes((number,))
  made = bytearray()
  while number > 127:
    made.append(number & 127 | 128)
    number >>= 7
  made.append(number)
  return bytes(made)


def _varints(numbers: Iterable[int]) -> bytes:
  return b''.join(map(_varint, numbers))


def place(chunk: Chunk, name: str) -> Place:
  """Returns the place of a chunk whose file is called `name` in the target."""
  return chunk if isinstance(chunk, bytes) else (name, chunk.offset, chunk.length)
