"""Computes the leaves whose bytes change, with a byte budget, into one data file of the target."""
from __future__ import annotations

import dataclasses
import math
import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from migrator.checkpoints import codec, memory, zarr
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
  """A computed leaf: the array, where its chunks are, and their CRC-32 sums when they were written."""

  stored: Stored
  places: dict[Grid, Place]
  sums: dict[Grid, int]


class Appender:
  """One data file that several threads append to."""

  def __init__(self, top: Path, name: str = NAME):
    self._file, self._name = top / name, name
    self._lock = threading.Lock()
    self._descriptor: int | None = None
    self.size = 0

  def add(self, content: bytes) -> tuple[str, int, int]:
    """Writes bytes and returns where they are."""
    with self._lock:
      if self._descriptor is None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
      offset, self.size = self.size, self.size + len(content)
    view, done = memoryview(content), 0
    while done < len(content):
      done += os.pwrite(self._descriptor, view[done:], offset + done)
    return self._name, offset, len(content)

  def close(self) -> None:
    """Closes the file."""
    if self._descriptor is not None:
      os.close(self._descriptor)


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


def encode(steps: Sequence[Step], version: int, top: Path, budget: int = BUDGET,
           threads: int | None = None, name: str = NAME) -> dict[tuple[str, ...], Encoded]:
  """Computes and writes some leaves.

  Args:
    steps: those that are 'encoded' or 'new'.
    budget: bytes of decoded and encoded values in memory; one leaf that needs more runs alone.
    name: of the file in the target.

  Returns:
    {path: what was written}.
  """
  made: dict[tuple[str, ...], Encoded] = {}
  appender, admitted = Appender(top, name), Budget(budget)

  def run(group: list[Step]) -> None:
    largest = max(_largest_chunk(step.value) for step in group)
    parts = [math.prod(chunks_for(step.value, budget)) * step.value.dtype.itemsize for step in group]
    cost = COPIES * max(*parts, largest)
    admitted.take(cost)
    try:
      is_shared = len(group) > 1 or parts[0] < group[0].value.nbytes
      decoded = Decoded(largest if is_shared else 0)
      for step in group:
        made[step.path] = encode_one(step.value, version, appender, budget, decoded)
    finally:
      admitted.give(cost)

  try:
    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8)) as pool:
      for done in [pool.submit(run, group) for group in groups(steps)]:
        done.result()
  finally:
    appender.close()
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


def encode_one(value: Expression, version: int, appender: Appender, budget: int, decoded: Decoded) -> Encoded:
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
    content = b''.join(codec.encode(values, version, metadata))
    del values
    sums[grid] = zlib.crc32(content)
    places[grid] = content if len(content) <= MOST_INLINE else appender.add(content)
  return Encoded(Stored(value.shape, value.dtype, version, metadata, dict.fromkeys(places, b'')), places, sums)


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
