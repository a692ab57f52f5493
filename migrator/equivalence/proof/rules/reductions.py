"""Sums, maxima and the like over axes.  Canonical params: the axes."""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import rule
from migrator.equivalence.proof.table import Table, Term

REDUCTIONS = ('reduce_sum', 'reduce_max', 'reduce_min', 'reduce_prod', 'reduce_and', 'reduce_or')


@rule(REDUCTIONS)
def reduction_of_nothing(table: Table, term: Term) -> int | None:
  """A reduction over no axis is its operand."""
  return term.args[0] if not term.params and table.nodes[term.args[0]].dtype == term.dtype else None


@rule(REDUCTIONS)
def reduction_of_unit_axes(table: Table, term: Term) -> int | None:
  """Over an axis of size one there is one element, and no operation is done."""
  sizes = table.dims(term.args[0])
  if 1 not in sizes:
    return None
  kept = [axis for axis, size in enumerate(sizes) if size != 1]
  small = table.reshaped(term.args[0], tuple(sizes[axis] for axis in kept))
  axes = tuple(kept.index(axis) for axis in term.params if axis in kept)
  left = tuple(size for k, size in enumerate(table.dims(small)) if k not in axes)
  return table.reshaped(table.make(term.op, axes, (small,), left, term.dtype or ''), term.shape or ())
