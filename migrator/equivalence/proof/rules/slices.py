"""Slices with constant bounds.  Canonical operation `slice`, params (starts, limits, strides).

Sizes may be symbols: bounds are compared as they are written, and only numbers are added.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrator.equivalence.proof.program import Shape
from migrator.equivalence.proof.rules.record import ELEMENTWISE, rule
from migrator.equivalence.proof.table import Table, Term


def sliced(table: Table, source: int, starts: Sequence[Any], limits: Sequence[Any],
           strides: Sequence[int] | None = None) -> int:
  """Returns a slice of an expression; its bounds must be numbers where they are not the whole axis."""
  steps = tuple(strides or (1,) * len(starts))
  shape = tuple(limit if start == 0 and step == 1 else -(-(limit - start) // step)
                for start, limit, step in zip(starts, limits, steps))
  return table.make('slice', (tuple(starts), tuple(limits), steps), (source,), shape,
                    table.nodes[source].dtype)


def _are_numbers(*bounds: Any) -> bool:
  return all(isinstance(bound, int) for bound in bounds)


@rule('slice')
def slice_of_all(table: Table, term: Term) -> int | None:
  """A slice of everything is nothing."""
  starts, limits, steps = term.params
  whole = all(start == 0 for start in starts) and limits == table.dims(term.args[0]) and set(steps) <= {1}
  return term.args[0] if whole else None


@rule('dynamic_slice')
def constant_start(table: Table, term: Term) -> int | None:
  """A start that is a constant is clamped into the array, as XLA does, and becomes a plain slice."""
  source, sizes = term.args[0], dict(term.params)['slice_sizes']
  starts = [table.nodes[arg].value for arg in term.args[1:]]
  dims = table.dims(source)
  if any(start is None for start in starts) or not _are_numbers(*dims, *sizes):
    return None
  clamped = [min(max(int(start.reshape(())), 0), dim - size)  # type: ignore[union-attr]
             for start, dim, size in zip(starts, dims, sizes)]
  return sliced(table, source, clamped, [start + size for start, size in zip(clamped, sizes)])


@rule('slice')
def slice_of_slice(table: Table, term: Term) -> int | None:
  """Two slices without strides are one, with the starts added."""
  inner = table.nodes[term.args[0]]
  starts, limits, steps = term.params
  if inner.op != 'slice' or set(steps) | set(inner.params[2]) > {1}:
    return None
  moved: list[tuple[Any, Any]] = []
  for axis, (start, limit, offset) in enumerate(zip(starts, limits, inner.params[0])):
    if start == 0 and limit == inner.shape[axis]:
      moved.append((offset, inner.params[1][axis]))
    elif _are_numbers(start, limit, offset):
      moved.append((start + offset, limit + offset))
    else:
      return None
  firsts, lasts = zip(*moved)
  return table.make('slice', (firsts, lasts, steps), inner.args, term.shape or (), term.dtype or '')


@rule('slice')
def slice_of_concatenation(table: Table, term: Term) -> int | None:
  """A slice that lies within one part of a concatenation is a slice of that part."""
  inner = table.nodes[term.args[0]]
  starts, limits, steps = term.params
  if inner.op != 'concatenate' or set(steps) > {1}:
    return None
  axis, offset = inner.params, 0
  for part in inner.args:
    size = table.dims(part)[axis]
    if not _are_numbers(size, starts[axis], limits[axis]):
      return None
    if offset <= starts[axis] and limits[axis] <= offset + size:
      shifted = [(start - offset, limit - offset) if k == axis else (start, limit)
                 for k, (start, limit) in enumerate(zip(starts, limits))]
      firsts, lasts = zip(*shifted)
      return table.make('slice', (firsts, lasts, steps), (part,), term.shape or (), term.dtype or '')
    offset += size
  return None


@rule('slice')
def slice_before_elementwise(table: Table, term: Term) -> int | None:
  """An elementwise operation gives each element its own operation, so slicing the operands first is the same."""
  inner = table.nodes[term.args[0]]
  if inner.op not in ELEMENTWISE or any(table.dims(arg) != inner.shape for arg in inner.args):
    return None
  args = [table.make('slice', term.params, (arg,), term.shape or (), table.nodes[arg].dtype) for arg in inner.args]
  return table.make(inner.op, inner.params, args, term.shape or (), term.dtype or '')


@rule('slice')
def slice_of_broadcast(table: Table, term: Term) -> int | None:
  """Slicing copies along an axis of copies only changes how many there are."""
  inner = table.nodes[term.args[0]]
  starts, limits, steps = term.params
  if inner.op != 'bcast' or set(steps) > {1}:
    return None
  source, dims = inner.args[0], inner.params
  sizes = table.dims(source)
  if any(inner.shape[axis] != sizes[k] for k, axis in enumerate(dims)):
    return None
  small = source if not dims else table.make(
    'slice', (tuple(starts[axis] for axis in dims), tuple(limits[axis] for axis in dims), (1,) * len(dims)),
    (source,), _taken(term.shape or (), dims), inner.dtype)
  return table.broadcast(small, term.shape or (), dims)


def _taken(shape: Shape, dims: Sequence[int]) -> Shape:
  return tuple(shape[axis] for axis in dims)
