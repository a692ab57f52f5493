"""Walks a msgpack file without holding it: headers are read, the bytes of arrays are only located.

The format is https://github.com/msgpack/msgpack/blob/master/spec.md; the extension types are those
of flax.serialization: 1 array, 2 Python complex, 3 numpy scalar.
"""
from __future__ import annotations

import dataclasses
import os
import struct
from types import TracebackType
from typing import Any

from migrator.checkpoints.errors import CheckpointError

DEEPEST = 128
# Names, numbers and arrays together; a hundred thousand leaves need a million.
MOST = 1 << 23
# The longest name or text that is read into memory.
LONGEST = 1 << 16
ARRAY, COMPLEX, SCALAR = 1, 2, 3
_WINDOW = 1 << 14


@dataclasses.dataclass(frozen=True)
class Bytes:
  """Bytes that lie in the file at an offset."""

  offset: int
  length: int


@dataclasses.dataclass(frozen=True)
class Array:
  """An array of flax.serialization: its shape, the name of its dtype, and where its bytes lie."""

  shape: tuple[int, ...]
  dtype: str
  data: Bytes


class Window:
  """A file seen through one small block, so that skipping over arrays costs nothing."""

  def __init__(self, path: str):
    self.path = path
    self._file = os.open(path, os.O_RDONLY)
    self.size = os.fstat(self._file).st_size
    self._start, self._block = 0, b''

  def read(self, offset: int, length: int) -> bytes:
    """Returns the bytes at an offset; raises CheckpointError beyond the end of the file."""
    self.need(offset, length)
    end = offset + length
    if offset < self._start or end > self._start + len(self._block):
      self._start, self._block = offset, os.pread(self._file, max(_WINDOW, length), offset)
    found = self._block[offset - self._start:end - self._start]
    if len(found) != length:
      raise CheckpointError(f'{self.path}: changed while it was read; wait until it is written')
    return found

  def need(self, offset: int, length: int) -> None:
    """Raises CheckpointError unless this many bytes follow: a damaged length never allocates anything."""
    if length < 0 or offset + length > self.size:
      raise CheckpointError(f'{self.path}: cut off or damaged: {length} bytes are announced at {offset}, '
                            f'the file has {self.size}; take another copy')

  def __enter__(self) -> Window:
    return self

  def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
               trace: TracebackType | None) -> None:
    os.close(self._file)


def parse(window: Window) -> Any:
  """Returns the object of a file: dicts, lists, numbers, text, None, `Array` and `Bytes`.

  Raises:
    CheckpointError: no msgpack, cut off, nested too deep, with a name twice, or with bytes behind its end.
  """
  value, end = _Parser(window).value(0, 0)
  if end != window.size:
    raise CheckpointError(f'{window.path}: no flax msgpack file: bytes follow its end at {end}; take another copy')
  return value


class _Parser:
  def __init__(self, window: Window):
    self.window = window
    self.seen = 0

  def value(self, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEEPEST:
      raise self._wrong(at, f'is nested deeper than {DEEPEST} levels')
    self.seen += 1
    if self.seen > MOST:
      raise self._wrong(at, f'holds more than {MOST} objects')
    tag = self.window.read(at, 1)[0]
    at += 1
    if tag < 0x80:
      return tag, at
    if tag >= 0xe0:
      return tag - 256, at
    for first, last, method in _SHORT:
      if first <= tag <= last:
        return getattr(self, method)(tag - first, at, depth)
    if tag in _CONSTANTS:
      return _CONSTANTS[tag], at
    if tag in _SIZED:
      width, method = _SIZED[tag]
      return getattr(self, method)(*self._unsigned(at, width), depth)
    if tag in _NUMBERS:
      layout = _NUMBERS[tag]
      width = struct.calcsize(layout)
      return struct.unpack(layout, self.window.read(at, width))[0], at + width
    if 0xd4 <= tag <= 0xd8:
      return self._extension(1 << (tag - 0xd4), at, depth)
    raise self._wrong(at - 1, f'holds the byte {tag:#x}, which begins nothing')

  def _wrong(self, at: int, what: str) -> CheckpointError:
    return CheckpointError(f'{self.window.path}: no flax msgpack file: it {what} (at byte {at}); take another copy')

  def _unsigned(self, at: int, width: int) -> tuple[int, int]:
    return int.from_bytes(self.window.read(at, width), 'big'), at + width

  def _text(self, length: int, at: int, depth: int) -> tuple[str, int]:
    if length > LONGEST:
      raise self._wrong(at, f'has a text of {length} bytes')
    try:
      return self.window.read(at, length).decode(), at + length
    except UnicodeDecodeError as error:
      raise self._wrong(at, f'has a text that is not UTF-8 ({error.reason})') from error

  def _binary(self, length: int, at: int, depth: int) -> tuple[Bytes, int]:
    self.window.need(at, length)
    return Bytes(at, length), at + length

  def _list(self, count: int, at: int, depth: int) -> tuple[list[Any], int]:
    self.window.need(at, count)  # every element takes a byte at least
    found = []
    for _ in range(count):
      element, at = self.value(at, depth + 1)
      found.append(element)
    return found, at

  def _map(self, count: int, at: int, depth: int) -> tuple[dict[str, Any], int]:
    self.window.need(at, 2 * count)
    found: dict[str, Any] = {}
    for _ in range(count):
      start = at
      key, at = self.value(at, depth + 1)
      if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
      if not isinstance(key, str):
        raise self._wrong(start, f'has a {type(key).__name__} as a name')
      if key in found:
        raise self._wrong(start, f'has the name {key!r} twice in one dict')
      found[key], at = self.value(at, depth + 1)
    return found, at

  def _extension(self, length: int, at: int, depth: int) -> tuple[Any, int]:
    self.window.need(at, length + 1)
    code, start = self.window.read(at, 1)[0], at + 1
    if code not in (ARRAY, COMPLEX, SCALAR):
      raise self._wrong(at, f'has an object of the unknown kind {code}')
    inner, end = self.value(start, depth + 1)
    if end != start + length:
      raise self._wrong(at, 'has an array that does not fill its place')
    return (self._complex(inner, at) if code == COMPLEX else self._array(inner, at)), end

  def _complex(self, inner: Any, at: int) -> complex:
    if not isinstance(inner, list) or [type(part) for part in inner] != [float, float]:
      raise self._wrong(at, 'has a damaged complex number')
    return complex(*inner)

  def _array(self, inner: Any, at: int) -> Array:
    if not isinstance(inner, list) or len(inner) != 3 or not isinstance(inner[0], list):
      raise self._wrong(at, 'has a damaged array')
    shape, dtype, data = inner
    if not isinstance(dtype, str) or not isinstance(data, Bytes):
      raise self._wrong(at, 'has a damaged array')
    return Array(checked_shape(shape, f'{self.window.path} (at byte {at})'), dtype, data)


def checked_shape(sizes: Any, where: str) -> tuple[int, ...]:
  """Returns the sizes as a shape; raises CheckpointError unless all are numbers from 0 on."""
  listed = list(sizes)
  if any(type(size) is not int or size < 0 for size in listed):
    raise CheckpointError(f'{where}: an array cannot have the shape {listed}; take another copy')
  return tuple(listed)


_SHORT = ((0x80, 0x8f, '_map'), (0x90, 0x9f, '_list'), (0xa0, 0xbf, '_text'))
_CONSTANTS = {0xc0: None, 0xc2: False, 0xc3: True}
_SIZED = {
  0xc4: (1, '_binary'), 0xc5: (2, '_binary'), 0xc6: (4, '_binary'),
  0xc7: (1, '_extension'), 0xc8: (2, '_extension'), 0xc9: (4, '_extension'),
  0xd9: (1, '_text'), 0xda: (2, '_text'), 0xdb: (4, '_text'),
  0xdc: (2, '_list'), 0xdd: (4, '_list'), 0xde: (2, '_map'), 0xdf: (4, '_map'),
}
_NUMBERS = {0xca: '>f', 0xcb: '>d', 0xcc: '>B', 0xcd: '>H', 0xce: '>I', 0xcf: '>Q',
            0xd0: '>b', 0xd1: '>h', 0xd2: '>i', 0xd3: '>q'}
