"""For which shapes a proof is tried: every batch size and length, every batch size, the shapes of the case."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
  # The process that compares programs reads the plans alone; it needs no JAX, which is most of a process.
  import jax

LENGTH_LIMIT = 'at most the length of the case'


@dataclasses.dataclass(frozen=True)
class Plan:
  """One way to choose the shapes of the inputs.

  name: what a request calls it.  words: what a report says.  batch, length: whether these axes are
  symbols; limited: the length is at most that of the case.  single: the batch is 1.
  """

  name: str
  words: str
  batch: bool = False
  length: bool = False
  limited: bool = False
  single: bool = False


PLANS = {plan.name: plan for plan in (
  Plan('batch and length', 'for every batch size and every length of 2 and more', True, True),
  Plan('batch and short length', f'for every batch size of 2 and more and every length from 2, {LENGTH_LIMIT}',
       True, True, True),
  Plan('batch', 'for every batch size of 2 and more', True),
  Plan('case', 'for the shapes of the case'),
  Plan('batch of one', 'for a batch of 1', single=True))}


def possible(arrays: Sequence[np.ndarray]) -> list[str]:
  """Returns the names of the plans that fit these inputs, the most general first."""
  names = ['case']
  if _batch(arrays) is not None:
    names = ['batch', *names]
    if _length(arrays) is not None:
      names = ['batch and length', 'batch and short length', *names]
  return names


class Specs:
  """The abstract inputs of every plan, made once: symbols of two makings cannot be mixed."""

  def __init__(self, arrays: Sequence[np.ndarray]):
    self._arrays = arrays
    self._made: dict[str, list[jax.ShapeDtypeStruct]] = {}

  def of(self, plan: str) -> list[jax.ShapeDtypeStruct]:
    """Returns the abstract inputs of a plan."""
    if plan not in self._made:
      self._made[plan] = specs(self._arrays, plan)
    return self._made[plan]


def specs(arrays: Sequence[np.ndarray], name: str) -> list[jax.ShapeDtypeStruct]:
  """Returns the abstract inputs of a plan."""
  import jax

  plan = PLANS[name]
  length = _length(arrays) if plan.length else None
  symbols = _symbols(plan, length)
  return [jax.ShapeDtypeStruct(_shape(array, plan, symbols, length), array.dtype) for array in arrays]


def _symbols(plan: Plan, length: int | None) -> dict[str, Any]:
  names = ['b'] * plan.batch + ['s'] * plan.length
  if not names:
    return {}
  import jax.export

  limits = [f'{name} >= 2' for name in names] + [f's <= {length}'] * plan.limited
  return dict(zip(names, jax.export.symbolic_shape(', '.join(names), constraints=limits)))


def _shape(array: np.ndarray, plan: Plan, symbols: dict[str, Any], length: int | None) -> tuple[Any, ...]:
  if not array.ndim:
    return ()
  first: Any = symbols['b'] if plan.batch else 1 if plan.single else array.shape[0]
  return (first, *(symbols['s'] if plan.length and size == length else size for size in array.shape[1:]))


def _batch(arrays: Sequence[np.ndarray]) -> int | None:
  """The size that the first axes of all inputs share."""
  sizes = {array.shape[0] for array in arrays if array.ndim}
  return sizes.pop() if len(sizes) == 1 else None


def _length(arrays: Sequence[np.ndarray]) -> int | None:
  """The second axis of whole numbers [batch, length], such as tokens."""
  sizes = {array.shape[1] for array in arrays if array.ndim == 2 and array.dtype.kind in 'iu'}
  return sizes.pop() if len(sizes) == 1 else None
