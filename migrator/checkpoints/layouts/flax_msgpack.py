"""Files of flax.serialization (`to_bytes`, `msgpack_serialize`) and of flax.training.checkpoints' msgpack back end.

The bytes of an array inside the file are a legal uncompressed chunk, so nothing is copied or decoded
here.  Arrays above 1 GiB are split into flat pieces by flax.
"""
from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from migrator.checkpoints import expressions, storage
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.dtypes import dtype_named
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.layouts import flax_beside, msgpack_index
from migrator.checkpoints.layouts.msgpack_index import Array
from migrator.checkpoints.names import shown
from migrator.checkpoints.storage import Range

NAME = 'msgpack'
SPLIT = '__msgpack_chunked_array__'
_NUMBERS = {bool: 'bool', int: 'int64', float: 'float64', complex: 'complex128'}


def recognises(path: Path) -> bool:
  """Whether the path is a file whose first byte begins a msgpack map; everything else is told while reading."""
  if not path.is_file():
    return False
  with path.open('rb') as file:
    first = file.read(1)
  return bool(first) and (0x80 <= first[0] <= 0x8f or first[0] in (0xde, 0xdf))


def read(path: Path) -> Checkpoint:
  """Returns the checkpoint of a file.  Raises CheckpointError where it is damaged or hostile."""
  return Checkpoint(path, NAME, read_tree(path))


def read_tree(path: Path) -> Any:
  """Returns nested dicts and lists whose leaves are `Source` expressions, text or None."""
  file = os.path.realpath(path)
  try:
    with msgpack_index.Window(file) as window:
      return _Tree(file).node(msgpack_index.parse(window), ())
  except OSError as error:
    raise CheckpointError(f'{path}: cannot be read ({error.strerror}); {DAMAGED}') from error


class _Tree:
  def __init__(self, file: str):
    self.file = file

  def node(self, value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
      if SPLIT in value:
        return self._joined(value, path)
      return {name: self.node(child, (*path, name)) for name, child in value.items()}
    if isinstance(value, list):
      return [self.node(child, (*path, str(position))) for position, child in enumerate(value)]
    if isinstance(value, Array):
      return expressions.source(path, self._stored(value, path))
    if isinstance(value, str) and value.startswith(flax_beside.MARK):
      return expressions.source(path, flax_beside.array(self.file, value, path))
    if value is None or isinstance(value, str):
      return value
    if isinstance(value, bool | int | float | complex):
      return expressions.source(path, _number(value))
    raise CheckpointError(f'{self.file}: {shown(path)} is no array, number or text; remove it before converting')

  def _stored(self, array: Array, path: tuple[str, ...], shape: tuple[int, ...] | None = None) -> storage.Stored:
    try:
      place = Range(self.file, array.data.offset, array.data.length)
      return storage.raw(array.shape if shape is None else shape, dtype_named(array.dtype), place)
    except CheckpointError as error:
      raise CheckpointError(f'{self.file}: {shown(path)}: {error}; {DAMAGED}') from error

  def _joined(self, value: dict[str, Any], path: tuple[str, ...]) -> Any:
    """An array that was split: pieces that end with a row become the chunks of one array."""
    shape, pieces = self._pieces(value, path)
    dtype, row = dtype_named(pieces[0].dtype), math.prod(shape[1:])
    sizes = [piece.shape[0] for piece in pieces]
    if not row or any(size % row for size in sizes):
      parts = [expressions.source((*path, str(k)), self._stored(piece, path)) for k, piece in enumerate(pieces)]
      return expressions.reshape(expressions.concatenate(parts, 0), shape)
    rows = math.gcd(*[size // row for size in sizes])
    length = rows * row * dtype.itemsize
    starts = [piece.data.offset + k * length for piece in pieces for k in range(piece.data.length // length)]
    whole = storage.raw((rows, *shape[1:]), dtype, Range(self.file, starts[0], length))
    chunks = {(k, *[0] * (len(shape) - 1)): Range(self.file, start, length) for k, start in enumerate(starts)}
    return expressions.source(path, storage.stored(2, {**whole.metadata, 'shape': list(shape)}, chunks))

  def _pieces(self, value: dict[str, Any], path: tuple[str, ...]) -> tuple[tuple[int, ...], list[Array]]:
    where = f'{self.file}: {shown(path)}'
    sizes, parts = value.get('shape'), value.get('chunks')
    if not isinstance(sizes, dict) or not isinstance(parts, dict) or not parts or not (
        _is_listed(sizes) and _is_listed(parts)):
      raise CheckpointError(f'{where}: an array that was split has no shape or no pieces; {DAMAGED}')
    shape = msgpack_index.checked_shape([sizes[str(k)] for k in range(len(sizes))], where)
    pieces = [parts[str(k)] for k in range(len(parts))]
    if not all(isinstance(piece, Array) and len(piece.shape) == 1 and piece.dtype == pieces[0].dtype
               for piece in pieces):
      raise CheckpointError(f'{where}: the pieces of a split array are no flat arrays of one type; {DAMAGED}')
    for piece in pieces:
      self._stored(piece, path)
    if not shape or sum(piece.shape[0] for piece in pieces) != math.prod(shape):
      raise CheckpointError(f'{where}: the pieces of a split array do not add up to its shape {shape}; {DAMAGED}')
    return shape, pieces


def _is_listed(value: dict[str, Any]) -> bool:
  """Whether a dict is what flax makes of a tuple: its keys are '0', '1', ..."""
  return set(value) == {str(k) for k in range(len(value))}


def _number(value: bool | int | float | complex) -> storage.Stored:
  """A Python number as Orbax keeps one: an array without axes of the widest type."""
  kind = _NUMBERS[type(value)]
  if kind == 'int64' and value >= 2**63:  # type: ignore[operator]
    kind = 'uint64'
  return storage.raw((), dtype_named(kind), dtype_named(kind).pack(value) or b'', kind='scalar')
