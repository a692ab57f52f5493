"""Undoes a plan: from the values of its target, what each array of its source was."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from migrator.checkpoints import expressions
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import (
  Concatenate,
  Expression,
  Given,
  Literal,
  Reshape,
  Slice,
  Source,
  Stack,
  Take,
  Transpose,
)
from migrator.checkpoints.names import shown

Path = tuple[Any, ...]


@dataclasses.dataclass
class _Pieces:
  """The parts of one array that several targets hold: positions or runs of one axis."""

  whole: Expression
  axis: int
  taken: bool
  found: dict[tuple[int, int], Expression]


def inverse(plan: Mapping[Path, Expression], values: Mapping[Path, Any]) -> dict[Path, Expression]:
  """Returns {source path: expression over the values}.

  Args:
    plan: {target path: expression over sources}.
    values: {target path: array or expression} of the same paths.

  Raises:
    CheckpointError: another shape or dtype, all of them listed, or a source that is not there in full.
  """
  problems = [f'{shown(map(str, path))}: {expressions.described(values[path])} here, {expressions.described(value)} expected'
              for path, value in plan.items()
              if (tuple(values[path].shape), values[path].dtype) != (value.shape, value.dtype)]
  if problems:
    raise CheckpointError('the arrays have other shapes or dtypes than the template gives:', sorted(problems))
  found: dict[Path, Expression] = {}
  pieces: dict[int, _Pieces] = {}
  for path, value in plan.items():
    _give(value, expressions.expression(values[path]), found, pieces)
  while pieces:
    part = pieces.pop(next(iter(pieces)))
    _give(part.whole, _joined(part), found, pieces)
  return found


def _give(made: Expression, value: Expression, found: dict[Path, Expression], pieces: dict[int, _Pieces]) -> None:
  """The expression `made` has this value: what do its parts have?"""
  if isinstance(made, Given | Literal):
    return
  if isinstance(made, Source):
    found[made.path] = value
  elif isinstance(made, Stack):
    for position, member in enumerate(made.members):
      _give(member, expressions.take(value, made.axis, position), found, pieces)
  elif isinstance(made, Concatenate):
    start = 0
    for member in made.members:
      stop = start + member.shape[made.axis]
      _give(member, expressions.slice_axis(value, made.axis, start, stop), found, pieces)
      start = stop
  elif isinstance(made, Transpose):
    _give(made.part, expressions.transpose(value, [made.order.index(axis) for axis in range(made.ndim)]), found, pieces)
  elif isinstance(made, Reshape):
    _give(made.part, expressions.reshape(value, made.part.shape), found, pieces)
  elif isinstance(made, Take | Slice):
    taken = isinstance(made, Take)
    place = (made.index, made.index + 1) if isinstance(made, Take) else (made.start, made.stop)
    there = pieces.setdefault(id(made.part), _Pieces(made.part, made.axis, taken, {}))
    if (there.axis, there.taken) != (made.axis, taken):
      raise CheckpointError(f'{expressions.names(made)}: is cut on two axes; such a plan has no way back')
    there.found[place] = value
  else:
    raise CheckpointError(f'{expressions.names(made)}: {type(made).__name__} has no way back')


def _joined(part: _Pieces) -> Expression:
  places = sorted(part.found)
  ends = [0, *(stop for _, stop in places)]
  if [start for start, _ in places] != ends[:-1] or ends[-1] != part.whole.shape[part.axis]:
    raise CheckpointError(f'{expressions.names(part.whole)}: only a part of it is there')
  values = [part.found[place] for place in places]
  return (expressions.stack if part.taken else expressions.concatenate)(values, part.axis)
