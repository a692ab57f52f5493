"""Broadcast, reshape and transpose: where an element goes, never what it is.

Canonical operations: `bcast` (params: the axes the operand's axes become), `reshape`, `transpose`.
Axes of size one are kept out of `bcast` and `transpose`; a reshape brings them back.
"""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import rule
from migrator.equivalence.proof.table import FOLDED_ELEMENTS, Table, Term


@rule('bcast')
def broadcast_nothing(table: Table, term: Term) -> int | None:
  """Broadcasting to the shape an array has already is nothing."""
  same = table.dims(term.args[0]) == term.shape and term.params == tuple(range(len(term.shape or ())))
  return term.args[0] if same else None


@rule('bcast')
def broadcast_without_unit_axes(table: Table, term: Term) -> int | None:
  """An axis of size one of the operand does not say where an element comes from."""
  sizes = table.dims(term.args[0])
  if 1 not in sizes:
    return None
  kept = [axis for axis, size in enumerate(sizes) if size != 1]
  small = table.reshaped(term.args[0], tuple(sizes[axis] for axis in kept))
  return table.broadcast(small, term.shape or (), (term.params[axis] for axis in kept))


@rule('bcast')
def broadcast_twice(table: Table, term: Term) -> int | None:
  """A broadcast of a broadcast copies the same elements in one step."""
  inner = table.nodes[term.args[0]]
  if inner.op != 'bcast':
    return None
  return table.broadcast(inner.args[0], term.shape or (), (term.params[axis] for axis in inner.params))


@rule('bcast')
def broadcast_of_unit_axes(table: Table, term: Term) -> int | None:
  """A broadcast that only inserts axes of size one is a reshape."""
  added = [size for axis, size in enumerate(term.shape or ()) if axis not in term.params]
  if any(size != 1 for size in added) or list(term.params) != sorted(term.params):
    return None
  return table.reshaped(term.args[0], term.shape or ())


@rule('reshape')
def reshape_nothing(table: Table, term: Term) -> int | None:
  """Reshaping to the shape an array has already is nothing."""
  return term.args[0] if table.dims(term.args[0]) == term.shape else None


@rule('reshape')
def reshape_twice(table: Table, term: Term) -> int | None:
  """Row-major order is kept by both, so the second alone does it."""
  inner = table.nodes[term.args[0]]
  return table.reshaped(inner.args[0], term.shape or ()) if inner.op == 'reshape' else None


@rule('reshape')
def reshape_of_copies(table: Table, term: Term) -> int | None:
  """Copies of one number stay copies of it in any shape; axes of size one do not move the others."""
  inner = table.nodes[term.args[0]]
  if inner.op != 'bcast':
    return None
  if not table.dims(inner.args[0]):
    return table.broadcast(inner.args[0], term.shape or ())
  old = [axis for axis, size in enumerate(inner.shape) if size != 1]
  new = [axis for axis, size in enumerate(term.shape or ()) if size != 1]
  if [inner.shape[axis] for axis in old] != [(term.shape or ())[axis] for axis in new]:
    return None
  if any(axis not in old for axis in inner.params):
    return None
  places = dict(zip(old, new))
  return table.intern('bcast', tuple(places[axis] for axis in inner.params), inner.args, term.shape, term.dtype)


@rule('reshape')
def reshape_of_constant(table: Table, term: Term) -> int | None:
  """A small constant is the same bytes in another shape; a single number stays a scalar that is reshaped."""
  value = table.nodes[term.args[0]].value
  if value is None or not 1 < value.size <= FOLDED_ELEMENTS or not all(isinstance(n, int) for n in term.shape or ()):
    return None
  return table.value(value.reshape(term.shape))


@rule('transpose')
def transpose_nothing(table: Table, term: Term) -> int | None:
  """Axes in their own order."""
  return term.args[0] if term.params == tuple(range(len(term.params))) else None


@rule('transpose')
def transpose_twice(table: Table, term: Term) -> int | None:
  """Two permutations of axes are one."""
  inner = table.nodes[term.args[0]]
  if inner.op != 'transpose':
    return None
  both = tuple(inner.params[axis] for axis in term.params)
  return table.make('transpose', both, inner.args, term.shape or (), term.dtype or '')


@rule('transpose')
def transpose_of_unit_axes(table: Table, term: Term) -> int | None:
  """Moving axes of size one does not change the order of the elements."""
  sizes = table.dims(term.args[0])
  moved = [axis for axis in term.params if sizes[axis] != 1]
  return table.reshaped(term.args[0], term.shape or ()) if moved == sorted(moved) else None


@rule('transpose')
def transpose_of_broadcast(table: Table, term: Term) -> int | None:
  """The copies are made along the axes where they end up."""
  inner = table.nodes[term.args[0]]
  if inner.op != 'bcast':
    return None
  return table.broadcast(inner.args[0], term.shape or (), (term.params.index(axis) for axis in inner.params))
