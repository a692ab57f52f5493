"""CRC-32C (Castagnoli), the sum OCDBT puts below each file; the standard library has none.

The message is cut into equal lanes that are summed side by side: the bytes of all lanes' sums are looked up with one
`bytes.translate`, and joined as one large number.  A lane's sum is moved over the bytes that follow it by a linear
map, which is kept as four tables of 256.
"""
from __future__ import annotations

from collections.abc import Iterable

_POLYNOMIAL = 0x82F63B78
_SHORT = 1024


def _entry(value: int) -> int:
  for _ in range(8):
    value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
  return value


_TABLE = [_entry(value) for value in range(256)]
# Byte by byte of the entries, the lowest first.
_PLANES = [bytes(value >> 8 * plane & 255 for value in _TABLE) for plane in range(4)]


def crc32c(content: bytes) -> int:
  """Returns the CRC-32C of some bytes."""
  width = int(len(content) ** 0.5 / 3) if len(content) > _SHORT else 0
  sums = 0xFFFFFFFF
  rest = content
  if width:
    count = len(content) // width
    whole = content[:count * width]
    shift = _shift(width)
    lanes = _lanes((whole[column::width] for column in range(width)), [sums, *[0] * (count - 1)])
    sums = 0
    for lane in lanes:
      sums = shift[0][sums & 255] ^ shift[1][sums >> 8 & 255] ^ shift[2][sums >> 16 & 255] ^ shift[3][sums >> 24] ^ lane
    rest = content[count * width:]
  for byte in rest:
    sums = _TABLE[(sums ^ byte) & 255] ^ (sums >> 8)
  return sums ^ 0xFFFFFFFF


def _lanes(columns: Iterable[bytes], starts: list[int]) -> list[int]:
  """Returns the sums of lanes of which `columns` gives the bytes, one of each lane at a time."""
  count = len(starts)
  planes = [int.from_bytes(bytes(start >> 8 * plane & 255 for start in starts), 'little') for plane in range(4)]
  number = int.from_bytes
  for column in columns:
    index = (planes[0] ^ number(column, 'little')).to_bytes(count, 'little')
    found = [number(index.translate(plane), 'little') for plane in _PLANES]
    planes = [found[0] ^ planes[1], found[1] ^ planes[2], found[2] ^ planes[3], found[3]]
  parts = [plane.to_bytes(count, 'little') for plane in planes]
  return [a | b << 8 | c << 16 | d << 24 for a, b, c, d in zip(*parts)]


def _shift(count: int) -> list[list[int]]:
  """Returns what `count` bytes of zero do to each byte of a sum."""
  starts = [value << 8 * plane for plane in range(4) for value in range(256)]
  made = _lanes([bytes(1024)] * count, starts)
  return [made[start:start + 256] for start in range(0, 1024, 256)]
