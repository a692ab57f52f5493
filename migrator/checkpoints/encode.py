"""Computes the leaves whose bytes change, with a byte budget, into data files of the target."""
from __future__ import annotations

import dataclasses
import itertools
import math
import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from migrator.checkpoints import codec, memory, zarr
from migrator.checkpoints.appender import Appender, Appenders
from migrator.checkpoints.expressions import Expression, Literal, sources
from migrator.checkpoints.index.write import MOST_INLINE, Place
from migrator.checkpoints.operations.evaluate import Decoded, Region, evaluate
from migrator.checkpoints.plan import BUDGET, Step
from migrator.checkpoints.storage import Grid, Stored, raw, relabelled

NAME = 'd/new_0'
# Copies of a chunk at one time: as read, decoded, in TensorStore, encoded.
COPIES = 4
# From here on memory is given back between the steps.
LARGE = 8 << 20


@dataclasses.dataclass(frozen=True)
class Encoded:
  """A computed leaf: the array, where its chunks are, and their CRC-32 sums when they were written (0 if not asked for)."""

  stored: Stored
  places: dict[Grid, Place]
  sums: dict[Grid, int]


class Budget:
  """Admits work while its bytes stay under the limit; what is larger alone runs alone."""

  def __init__(self, limit: int):
    self.limit, self._used = limit, 0
    self._changed = threading.Condition()

  def take(self, count: int) -> None:
    with self._changed:
      self._changed.wait_for(lambda: not self._used or self._used + count <= self.limit)
      self._used += count

  def give(self, count: int) -> None:
    with self._changed:
      self._used -= count
      self._changed.notify_all()


def encode(steps: Sequence[Step], version: int, top: Path, budget: int = BUDGET, threads: int | None = None,
           name: str = NAME, summed: bool = True) -> dict[tuple[str, ...], Encoded]:
  """Computes and writes some leaves.

  Args:
    steps: those that are 'encoded' or 'new'.
    budget: bytes of decoded and encoded values in memory; one leaf that needs more runs alone.
    name: of the files in the target; each thread adds its number.
    summed: also make the sums of what is written, for the deep check.

  Returns:
    {path: what was written}.
  """
  made: dict[tuple[str, ...], Encoded] = {}
  admitted = Budget(budget)

  def run(group: list[Step]) -> None:
    largest = max(_largest_chunk(step.value) for step in group)
    parts = [math.prod(chunks_for(step.value, budget)) * step.value.dtype.itemsize for step in group]
    cost = COPIES * max(*parts, largest)
    admitted.take(cost)
    try:
      is_shared = len(group) > 1 or parts[0] < group[0].value.nbytes
      decoded = Decoded(largest if is_shared else 0)
      for step in group:
        made[step.path] = encode_one(step.value, version, appenders.own(), budget, decoded, summed)
    finally:
      admitted.give(cost)

  with Appenders(top, name) as appenders, ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8)) as pool:
    running = [pool.submit(run, group) for group in groups(steps)]
    try:
      for one in running:
        one.result()
    except BaseException:
      pool.shutdown(wait=False, cancel_futures=True)
      raise
  return made


def groups(steps: Iterable[Step]) -> Iterator[list[Step]]:
  """Yields the leaves that are made of the same source arrays together: those are decoded once."""
  by_source: dict[tuple[int, ...], list[Step]] = {}
  for step in steps:
    by_source.setdefault(tuple(sorted({id(leaf.stored) for leaf in sources(step.value)})) or (-id(step),), []).append(step)
  # The largest first: a large leaf at the end would run alone.
  yield from sorted(by_source.values(), key=lambda group: -group[0].value.nbytes)


def _largest_chunk(value: Expression) -> int:
  return max((math.prod(leaf.stored.chunk_shape) * leaf.dtype.itemsize for leaf in sources(value)), default=0)


def encode_one(value: Expression, version: int, appender: Appender, budget: int, decoded: Decoded, summed: bool) -> Encoded:
  """Computes one leaf, a chunk at a time."""
  if isinstance(value, Literal) and value.nbytes <= MOST_INLINE // 2:
    return _inline(value, version)
  chunk = chunks_for(value, budget)
  metadata = zarr.new_metadata(value.shape, value.dtype, version, chunk)
  places: dict[Grid, Place] = {}
  sums: dict[Grid, int] = {}
  for grid in np.ndindex(*[-(-size // part) for size, part in zip(value.shape, chunk)]):
    values = _padded(evaluate(value, _region(value.shape, chunk, grid), decoded), chunk)
    if values.nbytes > LARGE:
      memory.give_back()
    pieces = codec.encode(values, version, metadata)
    del values
    places[grid], sums[grid] = _placed(pieces, appender, summed)
  return Encoded(Stored(value.shape, value.dtype, version, metadata, dict.fromkeys(places, b'')), places, sums)


def _placed(pieces: Iterator[bytes], appender: Appender, summed: bool) -> tuple[Place, int]:
  """Returns where a chunk is, in the index if it is small, and its sum."""
  value = 0

  def counted(piece: bytes) -> bytes:
    nonlocal value
    value = zlib.crc32(piece, value) if summed else 0
    return piece

  first = next(pieces, b'')
  second = next(pieces, None)
  if second is None and len(first) <= MOST_INLINE:
    return counted(first), value
  rest = itertools.chain([first], [] if second is None else [second], pieces)
  return appender.add(map(counted, rest)), value


def _inline(value: Literal, version: int) -> Encoded:
  content = np.ascontiguousarray(value.array).tobytes()
  stored = relabelled(raw(value.shape, value.dtype, content), version)
  places: dict[Grid, Place] = dict.fromkeys(stored.chunks, content)
  return Encoded(stored, places, {grid: zlib.crc32(content) for grid in places})


def chunks_for(value: Expression, budget: int) -> tuple[int, ...]:
  """Returns the shape of the chunks: the whole leaf, or rows of it where its copies exceed the budget."""
  if not value.shape or COPIES * value.nbytes <= budget:
    return tuple(max(size, 1) for size in value.shape)
  row = value.nbytes // value.shape[0]
  return (max(1, min(value.shape[0], budget // (COPIES * max(row, 1)))), *value.shape[1:])


def _region(shape: Sequence[int], chunk: Sequence[int], grid: Sequence[int]) -> Region:
  return tuple((at * part, min((at + 1) * part, size)) for at, part, size in zip(grid, chunk, shape))


def _padded(values: np.ndarray, chunk: Sequence[int]) -> np.ndarray:
  """A chunk at an edge is stored whole."""
  if values.shape == tuple(chunk):
    return values
  made = np.zeros(chunk, values.dtype)
  made[tuple(slice(0, size) for size in values.shape)] = values
  return made
