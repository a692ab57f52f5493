"""Compares two checkpoints of any layouts: structure without reading arrays, then values leaf by leaf."""
from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from migrator.checkpoints import zarr
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.expressions import Expression, expression
from migrator.checkpoints.operations.evaluate import evaluate
from migrator.checkpoints.operations.indexed import indexed
from migrator.checkpoints.storage import Chunk, Range, Stored
from migrator.manifest import Manifest
from migrator.weights import nnx_stored
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import show
from migrator.weights.plan import plan
from migrator.weights.ruled import ruled
from migrator.weights.transform import describe

Path = tuple[str, ...]
# Values that are compared at one time.
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Difference:
  """One leaf that differs.

  kind: 'only in A', 'only in B', 'shape', 'dtype' or 'values'.  text: what is there.  largest: of the
  absolute differences; relative: that, over the largest value of A; count: elements that differ.
  """

  path: str
  kind: str
  text: str
  largest: float = 0.0
  relative: float = 0.0
  count: int = 0


@dataclasses.dataclass(frozen=True)
class Comparison:
  """arrays: compared on both sides.  linked: of them, those that are the same bytes of the same files."""

  how: str
  arrays: int
  linked: int
  differences: tuple[Difference, ...]
  notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Pairing:
  how: str
  a: dict[Path, Expression]
  b: dict[Path, Expression]
  notes: tuple[str, ...] = ()

  def misses(self) -> int:
    return len(self.a.keys() ^ self.b.keys())


def compare(a: Checkpoint, b: Checkpoint, manifest: Manifest | None = None, class_name: str | None = None, *,
            rules: tuple[str, ...] = (), values: bool = True, tolerance: float = 0.0) -> Comparison:
  """Compares two checkpoints; where one is Linen and the other NNX, through the manifest.

  Args:
    values: also read the arrays.
    tolerance: differences of values up to this, relative to the largest value of the leaf, are none.

  Returns:
    The differences: structure first, then values, the largest relative difference first.
  """
  found = min(_pairings(a, b, manifest, class_name, rules), key=_Pairing.misses)
  differences = list(_structure(found))
  ranked: list[Difference] = []
  linked = 0
  common = [path for path in found.a if path in found.b and found.a[path].shape == found.b[path].shape]
  identities: dict[str, tuple[int, int]] = {}
  for path in common if values else ():
    if _is_same_place(found.a[path], found.b[path], identities):
      linked += 1
      continue
    difference = _values(path, found.a[path], found.b[path])
    if difference is not None and not difference.relative <= tolerance:
      ranked.append(difference)
  ranked.sort(key=lambda item: (not np.isnan(item.relative), -item.relative, item.path))
  return Comparison(found.how, len(common), linked, (*differences, *ranked), found.notes)


def _pairings(a: Checkpoint, b: Checkpoint, manifest: Manifest | None, class_name: str | None,
              rules: tuple[str, ...]) -> Iterator[_Pairing]:
  """Yields the ways to put the two side by side; the one with the fewest leaves without a partner counts."""
  left, right = nnx_stored.pure(a), nnx_stored.pure(b)
  yield _Pairing('by their own names', left, right)
  if manifest is None:
    return
  mapped_a, mapped_b = (_mapped(tree, manifest, class_name, rules) for tree in (a, b))
  if mapped_a is not None:
    yield _aligned('A through the manifest', mapped_a, right, False)
  if mapped_b is not None:
    yield _aligned('B through the manifest', mapped_b, left, True)
  if mapped_a is not None and mapped_b is not None:
    yield _Pairing('both through the manifest', mapped_a, mapped_b)


def _mapped(checkpoint: Checkpoint, manifest: Manifest, class_name: str | None,
            rules: tuple[str, ...]) -> dict[Path, Expression] | None:
  """The leaves of a Linen checkpoint under their NNX names; None for one that is not of this class."""
  try:
    content = ruled(plan(checkpoint.tree, manifest, class_name).pure(), rules)
  except WeightsError:
    return None
  return {path: expression(value) for path, value in content.items() if hasattr(value, 'dtype')}


def _aligned(how: str, linen: dict[Path, Expression], nnx: dict[Path, Expression], swapped: bool) -> _Pairing:
  """Leaves out what Linen has no counterpart for, and the optimizer where only one side has one."""
  streams = nnx_stored.random_streams(nnx)
  notes = [f'{len(streams) // 2} random streams of NNX are left out; Linen keeps none'] if streams else []
  nnx = {path: value for path, value in nnx.items() if path not in streams}
  tops = {path[0] for path in nnx}
  if {'model', 'optimizer'} <= tops and 'optimizer' not in {path[0] for path in linen}:
    nnx = {path[1:]: value for path, value in nnx.items() if path[0] == 'model'}
    notes.append('only the model is compared; one side has no optimizer')
  elif 'model' not in tops and 'optimizer' in {path[0] for path in linen}:
    linen = {path[1:]: value for path, value in linen.items() if path[0] == 'model'}
    notes.append('only the model is compared; one side has no optimizer')
  return _Pairing(how, *((nnx, linen) if swapped else (linen, nnx)), tuple(notes))


def _structure(found: _Pairing) -> Iterator[Difference]:
  for path in sorted(found.a.keys() | found.b.keys()):
    left, right = found.a.get(path), found.b.get(path)
    if left is None or right is None:
      there, side = (right, 'B') if left is None else (left, 'A')
      yield Difference(show(path), f'only in {side}', describe(there))
    elif left.shape != right.shape:
      yield Difference(show(path), 'shape', f'{describe(left)}, {describe(right)}')
    elif left.dtype != right.dtype:
      yield Difference(show(path), 'dtype', f'{describe(left)}, {describe(right)}')


def _is_same_place(a: Expression, b: Expression, identities: dict[str, tuple[int, int]]) -> bool:
  """Whether both are the same bytes of the same files, read the same way."""
  left, right = indexed(a), indexed(b)
  if left is None or right is None or left.version != right.version or _kept(left) != _kept(right):
    return False
  return left.chunks.keys() == right.chunks.keys() and all(
    _place(chunk, identities) == _place(right.chunks[grid], identities) for grid, chunk in left.chunks.items())


def _kept(array: Stored) -> Any:
  ones = (1,)
  return array.shape, array.chunk_shape, array.dtype, zarr.inner_shape(array.version, array.metadata), zarr.reshaped(
    array.version, array.metadata, ones, ones, ones), dict(array.extra or {})


def _place(chunk: Chunk, identities: dict[str, tuple[int, int]]) -> Any:
  if not isinstance(chunk, Range):
    return bytes(chunk)
  if '://' in chunk.file:
    return chunk
  if chunk.file not in identities:
    found = os.stat(chunk.file)
    identities[chunk.file] = (found.st_dev, found.st_ino)
  return identities[chunk.file], chunk.offset, chunk.length


def _values(path: Path, a: Expression, b: Expression) -> Difference | None:
  left, right = np.ascontiguousarray(evaluate(a)).reshape(-1), np.ascontiguousarray(evaluate(b)).reshape(-1)
  if a.dtype == b.dtype and left.tobytes() == right.tobytes():
    return None
  count, largest, scale = 0, 0.0, 0.0
  for start in range(0, left.size, _BLOCK):
    first, second = _wide(left[start:start + _BLOCK]), _wide(right[start:start + _BLOCK])
    differs = ~((first == second) | (np.isnan(first) & np.isnan(second)))
    with np.errstate(invalid='ignore'):
      gaps = np.abs(first - second)[differs]
    count += int(differs.sum())
    largest = float(np.max([largest, *gaps]) if gaps.size < 8 else max(largest, float(np.max(gaps))))
    finite = np.abs(first)[np.isfinite(first)]
    scale = max(scale, float(finite.max())) if finite.size else scale
  if not count and a.dtype != b.dtype:
    return None  # the same numbers in another type: told with the structure
  relative = largest / scale if scale else (0.0 if not count else float('inf'))
  text = f'{count} of {left.size} elements differ' if count else 'equal numbers with other bits (signs of zero, NaN)'
  return Difference(show(path), 'values', text, largest, relative, count)


def _wide(values: np.ndarray) -> np.ndarray:
  if values.dtype.kind in 'iub' and values.dtype.itemsize == 8:
    return values.astype(np.longdouble)
  return values.astype(np.complex128 if values.dtype.kind == 'c' else np.float64)


def as_data(found: Comparison) -> Mapping[str, Any]:
  """Returns the comparison as JSON data."""
  return dataclasses.asdict(found)



