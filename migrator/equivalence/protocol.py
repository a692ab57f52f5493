"""Messages between the runner and its workers: JSON and raw arrays, framed by lengths.

Nothing is ever unpickled.  A frame is two 8-byte lengths (header, arrays), the
header as JSON, then the bytes of the arrays one after the other.
"""
from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from migrator.equivalence.inputs import dtype

Path = tuple[str, ...]
_LENGTHS = struct.Struct('>QQ')
_LARGEST_HEADER = 1 << 30


class ProtocolError(Exception):
  """The other side sent something that is no message."""


@dataclasses.dataclass(frozen=True)
class Message:
  """body: JSON values.  arrays: by path; the first part of a path is the group, such as 'variables'."""

  body: dict[str, Any]
  arrays: dict[Path, np.ndarray] = dataclasses.field(default_factory=dict)

  def group(self, name: str) -> dict[Path, np.ndarray]:
    """Returns the arrays of a group, by the rest of their path."""
    return {path[1:]: array for path, array in self.arrays.items() if path[0] == name}


def in_group(name: str, arrays: Mapping[Any, np.ndarray]) -> dict[Path, np.ndarray]:
  """Returns the arrays with the group in front of every path."""
  return {(name, *path): array for path, array in arrays.items()}


def send(stream: IO[bytes], message: Message) -> None:
  """Writes one message and flushes."""
  blocks, entries = [], []
  for path, value in message.arrays.items():
    array = np.asarray(value)
    blocks.append(array.tobytes())
    entries.append({'path': path, 'dtype': array.dtype.name, 'shape': array.shape, 'bytes': len(blocks[-1])})
  header = json.dumps({'body': message.body, 'arrays': entries}).encode()
  stream.write(_LENGTHS.pack(len(header), sum(map(len, blocks))))
  stream.write(header)
  for block in blocks:
    stream.write(block)
  stream.flush()


def receive(stream: IO[bytes]) -> Message | None:
  """Reads one message; None at the end of the stream.

  Raises:
    ProtocolError: the bytes are no message.
  """
  start = stream.read(_LENGTHS.size)
  if not start:
    return None
  if len(start) < _LENGTHS.size:
    raise ProtocolError('the stream ended inside a message')
  header_size, array_size = _LENGTHS.unpack(start)
  if header_size > _LARGEST_HEADER:
    raise ProtocolError('the stream holds something that is no message')
  header = _exactly(stream, header_size)
  data = memoryview(_exactly(stream, array_size))
  try:
    document = json.loads(header)
    return Message(document['body'], _arrays(document['arrays'], data))
  except (ValueError, KeyError, TypeError) as error:
    raise ProtocolError(f'a message cannot be read: {error}') from error


def _exactly(stream: IO[bytes], size: int) -> bytes:
  data = stream.read(size)
  if len(data) != size:
    raise ProtocolError('the stream ended inside a message')
  return data


def _arrays(entries: list[dict[str, Any]], data: memoryview) -> dict[Path, np.ndarray]:
  arrays, position = {}, 0
  for entry in entries:
    block = data[position:position + entry['bytes']]
    array = np.frombuffer(block, dtype(entry['dtype'])).reshape(entry['shape'])
    arrays[tuple(entry['path'])] = array
    position += entry['bytes']
  return arrays
