"""Writes flax.serialization files array by array: the same bytes as `flax.serialization.msgpack_serialize`.

A dict keeps the order of the plan; lists are written as flax's state dicts are, {'0': ..}.
"""
from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression, Source
from migrator.checkpoints.layouts.msgpack_index import ARRAY
from migrator.checkpoints.layouts.paths import nested
from migrator.checkpoints.names import shown
from migrator.checkpoints.operations.evaluate import evaluate

NAME = 'msgpack'
SUFFIX = '.msgpack'
# Larger arrays are split into flat pieces of this many bytes, as flax does.
LARGEST = 2**30


def write(place: Path, plan: Mapping[tuple[str | int, ...], Any], copy: bool = True, budget: int = 0) -> None:
  """Writes a plan as one file; one array at a time is in memory.

  Args:
    plan: {path: expression, text, None or {}}.
  """
  tree = nested({tuple(map(str, path)): value for path, value in plan.items()}, place)
  with place.open('wb') as file:
    _node(file, tree, ())
    file.flush()
    os.fsync(file.fileno())


def _node(file: BinaryIO, value: Any, path: tuple[str, ...]) -> None:
  if isinstance(value, dict):
    file.write(_head(len(value), (0x80, 16), ((0xde, '>H'), (0xdf, '>I'))))
    for name, child in value.items():
      file.write(_text(name))
      _node(file, child, (*path, name))
  elif value is None:
    file.write(b'\xc0')
  elif isinstance(value, str):
    file.write(_text(value))
  elif isinstance(value, Expression):
    _leaf(file, value, path)
  else:
    raise CheckpointError(f'{shown(path)}: {type(value).__name__} cannot be written to a msgpack file')


def _leaf(file: BinaryIO, value: Expression, path: tuple[str, ...]) -> None:
  array = evaluate(value)
  if isinstance(value, Source) and value.stored.kind == 'scalar':
    file.write(number(array.item()))
    return
  if isinstance(value, Source) and value.stored.extra:
    raise CheckpointError(f'{shown(path)}: flax.serialization has no typed random keys; write an Orbax checkpoint')
  if array.nbytes <= LARGEST:
    _array(file, array)
    return
  flat, size = array.reshape(-1), max(1, LARGEST // array.dtype.itemsize)
  pieces = [flat[start:start + size] for start in range(0, flat.size, size)]
  file.write(b'\x83' + _text('__msgpack_chunked_array__') + b'\xc3' + _text('shape'))
  file.write(_head(array.ndim, (0x80, 16), ()))
  for position, length in enumerate(array.shape):
    file.write(_text(str(position)) + number(length))
  file.write(_text('chunks') + _head(len(pieces), (0x80, 16), ((0xde, '>H'), (0xdf, '>I'))))
  for position, piece in enumerate(pieces):
    file.write(_text(str(position)))
    _array(file, piece)


def _array(file: BinaryIO, array: np.ndarray) -> None:
  shape = _head(array.ndim, (0x90, 16), ((0xdc, '>H'),)) + b''.join(map(number, array.shape))
  data = _head(array.nbytes, None, ((0xc4, '>B'), (0xc5, '>H'), (0xc6, '>I')))
  head = b'\x93' + shape + _text(array.dtype.name) + data
  length = len(head) + array.nbytes
  fixed = {1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8}.get(length)
  sized = bytes([fixed]) if fixed else _head(length, None, ((0xc7, '>B'), (0xc8, '>H'), (0xc9, '>I')))
  file.write(sized + bytes([ARRAY]) + head)
  file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _text(value: str) -> bytes:
  encoded = value.encode()
  return _head(len(encoded), (0xa0, 32), ((0xd9, '>B'), (0xda, '>H'), (0xdb, '>I'))) + encoded


def _head(size: int, short: tuple[int, int] | None, wide: tuple[tuple[int, str], ...]) -> bytes:
  """The shortest header for a size.  short: (first tag, number of sizes that fit into the tag)."""
  if short is not None and size < short[1]:
    return bytes([short[0] + size])
  for tag, layout in wide:
    if size < 1 << 8 * struct.calcsize(layout):
      return bytes([tag]) + struct.pack(layout, size)
  raise CheckpointError(f'{size} entries or bytes are too many for a msgpack file')


def number(value: bool | int | float | complex) -> bytes:
  """Returns a Python number in its shortest form."""
  if isinstance(value, bool):
    return b'\xc3' if value else b'\xc2'
  if isinstance(value, float):
    return b'\xcb' + struct.pack('>d', value)
  if isinstance(value, complex):
    inner = b'\x92' + number(value.real) + number(value.imag)
    return _head(len(inner), None, ((0xc7, '>B'),)) + b'\x02' + inner
  if value >= 0:
    return _head(value, (0, 128), ((0xcc, '>B'), (0xcd, '>H'), (0xce, '>I'), (0xcf, '>Q')))
  if value >= -32:
    return bytes([256 + value])
  bits = next(bits for bits in (8, 16, 32, 64) if -(1 << bits - 1) <= value)
  return bytes([{8: 0xd0, 16: 0xd1, 32: 0xd2, 64: 0xd3}[bits]]) + value.to_bytes(bits // 8, 'big', signed=True)


