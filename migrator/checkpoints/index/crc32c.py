"""CRC-32C (Castagnoli), the sum OCDBT puts below each file; on NumPy lanes, as Python has none.

The message is cut into equal lanes that are summed side by side; a sum is moved over the bytes that
follow it by a linear map, which is kept as four tables of 256.
"""
from __future__ import annotations

import numpy as np

_POLYNOMIAL = 0x82F63B78


def _byte_table() -> np.ndarray:
  sums: np.ndarray = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    sums = (sums >> 1) ^ np.where(sums & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
  return sums


_TABLE = _byte_table()
_PYTHON_TABLE = _TABLE.tolist()


def crc32c(content: bytes) -> int:
  """Returns the CRC-32C of some bytes."""
  lane = int(len(content) ** 0.5) if len(content) > 4096 else 0
  sums = 0xFFFFFFFF
  rest = content
  if lane:
    lanes = len(content) // lane
    sums = _joined(np.frombuffer(content, np.uint8, lane * lanes).reshape(lanes, lane), sums)
    rest = content[lane * lanes:]
  for byte in rest:
    sums = _PYTHON_TABLE[(sums ^ byte) & 255] ^ (sums >> 8)
  return sums ^ 0xFFFFFFFF


def _joined(lanes: np.ndarray, start: int) -> int:
  sums = np.zeros(len(lanes), np.uint32)
  sums[0] = start
  for column in np.ascontiguousarray(lanes.T):
    sums = _TABLE[(sums ^ column) & 255] ^ (sums >> 8)
  shift = _shift(lanes.shape[1])
  total = 0
  for lane in sums.tolist():
    total = shift[0][total & 255] ^ shift[1][total >> 8 & 255] ^ shift[2][total >> 16 & 255] ^ shift[3][total >> 24] ^ lane
  return total


def _shift(count: int) -> list[list[int]]:
  """Returns what `count` bytes of zero do to each byte of a sum."""
  values = np.concatenate([np.arange(256, dtype=np.uint32) << np.uint32(8 * position) for position in range(4)])
  for _ in range(count):
    values = _TABLE[values & 255] ^ (values >> 8)
  return [part.tolist() for part in np.split(values, 4)]
