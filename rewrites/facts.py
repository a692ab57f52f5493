"""Questions that records ask of `Facts`: a literal argument, one dim of an input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rewrites.record import Facts, NotDerivable, Size, Unknown

_FULL_PRECISION = ('float32', 'float64', "'float32'", "'float64'")


def literal(facts: Facts, name: str, default: Any = None) -> Any:
  """Returns the value of the constructor argument `name`, `default` when the source does not give it.

  Raises:
    NotDerivable: the source gives an expression that is no literal.
  """
  value = facts.arguments.get(name, default)
  if isinstance(value, Unknown):
    raise NotDerivable(f'{name}={value.text} is not a literal; write the value out')
  return value


def shape(facts: Facts, argument: str) -> tuple[Any, ...]:
  """Returns the shape of the call argument `argument`.

  Raises:
    NotDerivable: the shape is not known.
  """
  found = facts.shapes.get(argument)
  if found is None:
    raise NotDerivable(f'the shape of {argument} is not known at this call')
  return found


def axes(value: int | Sequence[int]) -> tuple[int, ...]:
  """Returns one axis or several as a tuple.

  Raises:
    NotDerivable: an axis is no literal integer.
  """
  found = (value,) if isinstance(value, int) else tuple(value)
  for axis in found:
    if not isinstance(axis, int):
      raise NotDerivable(f'axis {getattr(axis, "text", axis)!r} is not a literal integer')
  return found


def positive(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
  """Returns the axes counted from the front, in the given order.

  Raises:
    NotDerivable: an axis lies outside an array of that rank.
  """
  found = axes(value)
  for axis in found:
    if not -rank <= axis < rank:
      raise NotDerivable(f'axis {axis} lies outside an array of {rank} axes')
  return tuple(axis % rank for axis in found)


def last_of(argument: str) -> Callable[[Facts], Any]:
  """Returns the size function 'last axis of the call argument'."""

  def last(facts: Facts) -> Any:
    return _pick(shape(facts, argument), -1, argument)

  return last


def axis_of(argument: str, name: str, default: int) -> Callable[[Facts], Any]:
  """Returns the size function 'the axis of the call argument that the constructor argument `name` tells'."""

  def pick(facts: Facts) -> Any:
    chosen = axes(literal(facts, name, default))
    if len(chosen) != 1:
      raise NotDerivable(f'{name}={chosen}: NNX has parameters over one axis only')
    return _pick(shape(facts, argument), chosen[0], argument)

  return pick


def _pick(dims: tuple[Any, ...], axis: int, argument: str) -> Any:
  if not -len(dims) <= axis < len(dims):
    raise NotDerivable(f'{argument} has {len(dims)} axes, axis {axis} is asked for')
  return dims[axis]


def in_features(argument: str = 'inputs') -> Size:
  """Returns the size `in_features`: the last axis of the input."""
  return Size('in_features', last_of(argument))


def one_axis(name: str, what: str) -> Callable[[Facts], str | None]:
  """Returns a `refuse` function: a reason when the constructor argument `name` holds several axes."""

  def refuse(facts: Facts) -> str | None:
    value = facts.arguments.get(name, -1)
    if isinstance(value, (tuple, list)) and len(value) != 1:
      return (
        f'{name}={tuple(value)}: the parameters of {what} have one axis in NNX, Linen gives them {len(value)}'
      )
    return None

  return refuse


def half_or_unknown(facts: Facts) -> bool:
  """Tells whether `dtype` may be a half-precision type: then NNX rounds in another order than Linen."""
  value = facts.arguments.get('dtype')
  if value is None:
    return False
  text = value.text if isinstance(value, Unknown) else repr(value)
  return text.rpartition('.')[2] not in _FULL_PRECISION
