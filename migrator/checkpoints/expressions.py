"""What a leaf of the target is made of: operations over arrays of the source, which are not read for it.

Every expression has a shape and a dtype, so that the rules of `migrator.weights` run on expressions as they
run on arrays.  The functions check shapes and undo what is undone: `take(stack(parts), k)` is `parts[k]`.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from migrator.checkpoints.dtypes import DType, dtype_of
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.storage import Stored, raw

if TYPE_CHECKING:
  import numpy as np

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Expression:
  """shape, dtype: of the values, in this machine's byte order."""

  shape: Shape
  dtype: DType

  @property
  def parts(self) -> tuple[Expression, ...]:
    """The expressions this one is made of."""
    return ()

  @property
  def ndim(self) -> int:
    return len(self.shape)

  @property
  def nbytes(self) -> int:
    """Bytes of the values."""
    return math.prod(self.shape) * self.dtype.itemsize

  def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
    """Reads the values: for the few that a rule must see, such as a step number."""
    import numpy as np

    from migrator.checkpoints.operations.evaluate import evaluate
    return np.asarray(evaluate(self), dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Source(Expression):
  """An array of the source as it is there."""

  path: tuple[str, ...]
  stored: Stored


@dataclasses.dataclass(frozen=True, eq=False)
class Given(Source):
  """A small value that the source lacks or keeps in another type: its bytes are its only chunk."""


@dataclasses.dataclass(frozen=True, eq=False)
class Literal(Expression):
  """A value that is written out: what the source lacks, or holds outside its arrays."""

  array: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Joined(Expression):
  """Several arrays as one."""

  members: tuple[Expression, ...]
  axis: int

  @property
  def parts(self) -> tuple[Expression, ...]:
    return self.members


class Stack(Joined):
  """Equal arrays on a new axis."""


class Concatenate(Joined):
  """Arrays one behind the other on an axis they have."""


@dataclasses.dataclass(frozen=True, eq=False)
class Changed(Expression):
  """Something made of one array."""

  part: Expression

  @property
  def parts(self) -> tuple[Expression, ...]:
    return (self.part,)


@dataclasses.dataclass(frozen=True, eq=False)
class Slice(Changed):
  """Positions start to stop of an axis."""

  axis: int
  start: int
  stop: int


@dataclasses.dataclass(frozen=True, eq=False)
class Take(Changed):
  """One position of an axis, which goes."""

  axis: int
  index: int


@dataclasses.dataclass(frozen=True, eq=False)
class Transpose(Changed):
  """Axes in another order, as numpy.transpose counts them."""

  order: tuple[int, ...]


class Reshape(Changed):
  """The same values, in C order, in another shape."""


def source(path: tuple[str, ...], stored: Stored) -> Source:
  """Returns an array of the source as an expression."""
  return Source(stored.shape, stored.dtype, path, stored)


def given(dtype: DType, content: bytes, shape: Shape = (), **rest: Any) -> Given:
  """Returns a value by its bytes, in C order."""
  stored = raw(shape, dtype, content, **rest)
  return Given(stored.shape, stored.dtype, (), stored)


def expression(value: Any) -> Expression:
  """Returns an expression as it is, and an array as a literal."""
  if isinstance(value, Expression):
    return value
  import numpy as np
  array = np.asarray(value)
  return Literal(array.shape, dtype_of(array.dtype), array)


def stack(values: Sequence[Any], axis: int) -> Expression:
  """Returns equal arrays on a new axis (counted in the result; negative from its end)."""
  members = tuple(map(expression, values))
  first = members[0]
  place = _axis(axis, first.ndim + 1)
  for member in members:
    if (member.shape, member.dtype) != (first.shape, first.dtype):
      raise CheckpointError(f'{described(member)} cannot be stacked with {described(first)}: {names(member)}, {names(first)}')
  shape = (*first.shape[:place], len(members), *first.shape[place:])
  whole = _cut(members, Take, place, shape)
  if whole is not None and [member.index for member in members if isinstance(member, Take)] == list(range(len(members))):
    return whole
  return Stack(shape, first.dtype, members, place)


def concatenate(values: Sequence[Any], axis: int) -> Expression:
  """Returns arrays one behind the other on an axis."""
  members = tuple(map(expression, values))
  first = members[0]
  place = _axis(axis, first.ndim)
  for member in members:
    rest = (*member.shape[:place], *member.shape[place + 1:])
    if (member.ndim, member.dtype, rest) != (first.ndim, first.dtype, (*first.shape[:place], *first.shape[place + 1:])):
      raise CheckpointError(f'{described(member)} cannot follow {described(first)} on axis {axis}: '
                            f'{names(member)}, {names(first)}')
  if len(members) == 1:
    return first
  size = sum(member.shape[place] for member in members)
  shape = (*first.shape[:place], size, *first.shape[place + 1:])
  whole = _cut(members, Slice, place, shape)
  slices = [member for member in members if isinstance(member, Slice)]
  if whole is not None and all(before.stop == after.start for before, after in zip(slices, slices[1:])):
    return whole
  return Concatenate(shape, first.dtype, members, place)


def _cut(members: Sequence[Expression], kind: type[Take] | type[Slice], axis: int, shape: Shape) -> Expression | None:
  """Returns the array of this shape that all members were cut from on one axis; None if there is none."""
  cuts = [member for member in members if isinstance(member, kind) and member.axis == axis]
  whole = cuts[0].part if len(cuts) == len(members) else None
  return whole if whole is not None and whole.shape == shape and all(cut.part is whole for cut in cuts) else None


def slice_axis(value: Any, axis: int, start: int, stop: int) -> Expression:
  """Returns positions start to stop of an axis."""
  part = expression(value)
  place = _axis(axis, part.ndim)
  if not 0 <= start <= stop <= part.shape[place]:
    raise CheckpointError(f'{described(part)} has no positions {start} to {stop} on axis {axis}: {names(part)}')
  if (start, stop) == (0, part.shape[place]):
    return part
  if isinstance(part, Slice) and part.axis == place:
    return slice_axis(part.part, place, part.start + start, part.start + stop)
  if isinstance(part, Concatenate) and part.axis == place:
    offset = 0
    for member in part.members:
      if (start, stop) == (offset, offset + member.shape[place]):
        return member
      offset += member.shape[place]
  shape = (*part.shape[:place], stop - start, *part.shape[place + 1:])
  return Slice(shape, part.dtype, part, place, start, stop)


def take(value: Any, axis: int, index: int) -> Expression:
  """Returns one position of an axis, without that axis."""
  part = expression(value)
  place = _axis(axis, part.ndim)
  if not 0 <= index < part.shape[place]:
    raise CheckpointError(f'{described(part)} has no position {index} on axis {axis}: {names(part)}')
  if isinstance(part, Stack) and part.axis == place:
    return part.members[index]
  return Take((*part.shape[:place], *part.shape[place + 1:]), part.dtype, part, place, index)


def transpose(value: Any, order: Sequence[int] | None = None) -> Expression:
  """Returns the axes in another order; reversed when none is given."""
  part = expression(value)
  axes = tuple(order) if order is not None else tuple(reversed(range(part.ndim)))
  if sorted(axes) != list(range(part.ndim)):
    raise CheckpointError(f'{described(part)} has no order of axes {axes}: {names(part)}')
  if isinstance(part, Transpose):
    return transpose(part.part, [part.order[axis] for axis in axes])
  if axes == tuple(range(part.ndim)):
    return part
  return Transpose(tuple(part.shape[axis] for axis in axes), part.dtype, part, axes)


def reshape(value: Any, shape: Sequence[int]) -> Expression:
  """Returns the same values in another shape."""
  part = expression(value)
  wanted = tuple(shape)
  if math.prod(wanted) != math.prod(part.shape):
    raise CheckpointError(f'{described(part)} cannot have the shape {wanted}: {names(part)}')
  if isinstance(part, Reshape):
    return reshape(part.part, wanted)
  return part if wanted == part.shape else Reshape(wanted, part.dtype, part)


def sources(value: Expression) -> Iterator[Source]:
  """Yields the source arrays an expression is made of; given values are none."""
  if isinstance(value, Source) and not isinstance(value, Given):
    yield value
  for part in value.parts:
    yield from sources(part)


def names(value: Expression) -> str:
  """Returns the names of the source arrays for messages; three at most."""
  found = ['/'.join(leaf.path) for leaf in sources(value)]
  return ', '.join(found[:3]) + (', ...' if len(found) > 3 else '') or 'a given value'


def described(value: Any) -> str:
  """Returns 'float32[3,5]'."""
  return f'{value.dtype}[{",".join(map(str, value.shape))}]'


def _axis(axis: int, dimensions: int) -> int:
  if not -dimensions <= axis < dimensions:
    raise CheckpointError(f'there is no axis {axis} among {dimensions}')
  return axis % dimensions
