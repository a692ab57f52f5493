"""How a primitive becomes canonical terms: one reader per primitive that has several spellings."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from migrator.equivalence.proof.program import Kind
from migrator.equivalence.proof.rules.slices import sliced
from migrator.equivalence.proof.table import Table

Numbers = tuple[int, ...]
Reader = Callable[[Table, Mapping[str, Any], Numbers, Kind], int]


def _broadcast(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  return table.broadcast(args[0], kind.shape, params['broadcast_dimensions'])


def _reshape(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  if params.get('dimensions') is not None and 'new_sizes' in params:
    return table.intern('reshape_in_order', params['dimensions'], args[:1], kind.shape, kind.dtype)
  return table.reshaped(args[0], kind.shape)


def _transpose(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  return table.make('transpose', params['permutation'], args, kind.shape, kind.dtype)


def _slice(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  starts, limits = params['start_indices'], params['limit_indices']
  steps = params.get('strides') or (1,) * len(starts)
  return table.make('slice', (starts, limits, steps), args, kind.shape, kind.dtype)


def _concatenate(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  return table.make('concatenate', params['dimension'], args, kind.shape, kind.dtype)


def _stack(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  """Arrays stacked along a new axis are joined along it, each with an axis of size one."""
  axis = params['axis']
  single = (*kind.shape[:axis], 1, *kind.shape[axis + 1:])
  return table.make('concatenate', axis, [table.reshaped(arg, single) for arg in args], kind.shape, kind.dtype)


def _reduce(op: str) -> Reader:
  def read(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
    return table.make(op, tuple(sorted(params['axes'])), args, kind.shape, kind.dtype)
  return read


def _product(table: Table, params: Mapping[str, Any], args: Numbers, kind: Kind) -> int:
  """Contracted axes are pairs in any order; default precision is none given; the dtype is the result's."""
  (left, right), batch = params['dimension_numbers']
  pairs = sorted(zip(left, right))
  contracted = (tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))
  known = ('dimension_numbers', 'precision', 'preferred_element_type')
  rest = tuple(sorted((key, value) for key, value in params.items() if key not in known))
  return table.make('dot_general', (contracted, batch, _precision(params.get('precision')), rest), args,
                    kind.shape, kind.dtype)


def _precision(precision: Any) -> Any:
  both = precision if isinstance(precision, tuple) else (precision,)
  return None if all(one is None or one == 'Precision.DEFAULT' for one in both) else precision


def split(table: Table, params: Mapping[str, Any], args: Numbers, kinds: tuple[Kind, ...]) -> list[int]:
  """Returns the parts of a split, each a slice."""
  dims, axis, offset, parts = table.dims(args[0]), params['axis'], 0, []
  for size in params['sizes']:
    starts = [0] * len(dims)
    limits = list(dims)
    starts[axis], limits[axis] = offset, offset + size
    offset += size
    parts.append(sliced(table, args[0], starts, limits))
  return parts


def unstack(table: Table, params: Mapping[str, Any], args: Numbers, kinds: tuple[Kind, ...]) -> list[int]:
  """Returns the entries along an axis, each a slice without that axis."""
  dims, axis, entries = table.dims(args[0]), params['axis'], []
  for k, kind in enumerate(kinds):
    starts, limits = [0] * len(dims), list(dims)
    starts[axis], limits[axis] = k, k + 1
    entries.append(table.reshaped(sliced(table, args[0], starts, limits), kind.shape))
  return entries


# Primitives with several results.
SEVERAL = {'split': split, 'unstack': unstack}
READERS: dict[str, Reader] = {
  'broadcast_in_dim': _broadcast, 'reshape': _reshape, 'squeeze': _reshape, 'expand_dims': _reshape,
  'transpose': _transpose, 'slice': _slice, 'concatenate': _concatenate, 'stack': _stack, 'dot_general': _product,
  **{op: _reduce(op) for op in ('reduce_sum', 'reduce_max', 'reduce_min', 'reduce_prod', 'reduce_and',
                                'reduce_or')}}
