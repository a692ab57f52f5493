"""Single numbers of a checkpoint, read and made without NumPy where the standard library knows their type."""
from __future__ import annotations

from typing import Any

from migrator.checkpoints import expressions, packed
from migrator.checkpoints.dtypes import dtype_named
from migrator.checkpoints.expressions import Expression
from migrator.weights.errors import WeightsError


def of(value: Any) -> Any:
  """Returns the number that an array without axes, of a checkpoint or in memory, holds; None where it has axes."""
  if isinstance(value, bool | int | float | complex):
    return value
  if getattr(value, 'shape', None) != ():
    return None
  return packed.number(value) if isinstance(value, Expression) else value.item()


def given(number: Any, name: str) -> Expression:
  """Returns a number as an array of a type."""
  kind = dtype_named(name)
  content = kind.pack(_fitting(number, name))
  if content is None:
    raise WeightsError(f'{number} cannot be written as {name}')
  return expressions.given(kind, content)


def _fitting(number: Any, name: str) -> Any:
  """A number beyond float32 becomes infinite, as it does in JAX."""
  if name != 'float32' or number != number or abs(number) <= 3.4028235e38:
    return number
  return float('inf') if number > 0 else float('-inf')
