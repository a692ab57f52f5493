"""Values of an evaluation: floats as elements of the field, everything else as it is."""
from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.proof.field.oracle import extreme_constant, oracle
from migrator.equivalence.proof.field.prime import P, of_float

# One rounding of a constant, by size of its format in bytes.
ROUNDING = {1: 2.0**-3, 2: 2.0**-8, 4: 2.0**-23, 8: 2.0**-50}


@dataclasses.dataclass(frozen=True)
class Field:
  """An array of floats, as elements of the field."""

  value: np.ndarray
  dtype: str

  @property
  def shape(self) -> tuple[int, ...]:
    return self.value.shape


def is_float(dtype: Any) -> bool:
  return jnp.issubdtype(dtype, jnp.floating)


def elements(value: Any) -> np.ndarray:
  """Returns any value as elements of the field; constants are read as the numbers they stand for."""
  if isinstance(value, Field):
    return value.value
  array = np.asarray(value)
  if array.dtype.kind in 'biu':
    return array.astype(np.int64) % P
  numbers, places = np.unique(array.astype(np.float64), return_inverse=True)
  relative = ROUNDING.get(array.dtype.itemsize, 2.0**-23)
  found = [_element(float(number), relative) for number in numbers]
  return np.asarray(found, np.int64)[places].reshape(array.shape)


def _element(number: float, relative: float) -> int:
  known = of_float(number, relative)
  return extreme_constant(number) if known is None else known


def random_value(name: str, seed: int, kind: jax.ShapeDtypeStruct) -> Any:
  """Returns the random value of an input; its name and the seed alone decide it."""
  if jnp.issubdtype(kind.dtype, jax.dtypes.prng_key):
    keys = jax.random.key(int(oracle(f'key {name}', np.asarray(seed))))
    return jax.random.split(keys, kind.shape) if kind.shape else keys
  places = np.arange(int(np.prod(kind.shape)), dtype=np.int64).reshape(kind.shape)
  found = oracle(f'input {name} {seed}', places)
  if is_float(kind.dtype):
    return Field(np.where(found == 0, 1, found), str(kind.dtype))
  if kind.dtype == np.bool_:
    return found % 2 == 1
  if jnp.issubdtype(kind.dtype, jnp.integer):
    return (found % 3).astype(kind.dtype)
  raise NotImplementedError(f'values of dtype {kind.dtype}')
