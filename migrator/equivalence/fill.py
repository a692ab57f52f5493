"""Random values for every variable, derived from its path.

Initial values hide errors: zero biases, zero-initialised scales and fresh
statistics make a lost bias or activation invisible.  So no float variable keeps
its initial value; whole numbers and keys do, because they mean something.
"""
from __future__ import annotations

import math

import numpy as np

from migrator.equivalence.inputs import generator

Path = tuple[str, ...]
POSITIVE = ('var', 'variance', 'sigma')
AROUND_ONE = ('scale', 'gamma')
UNIT = ('embedding',)


def random_value(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """Returns the value of a float or complex variable.

  Args:
    path: collection and path of the variable in the Linen tree; it alone seeds the numbers.
    shape, dtype: of the variable.

  Returns:
    Numbers that keep activations near one: variances in [0.5, 1.5], scales near 1, weight
    matrices divided by the square root of their fan-in.
  """
  random = generator('variable', *path)
  name = path[-1].rsplit('/', 1)[-1].lower()
  if _named(name, POSITIVE):
    return (0.5 + random.random(shape)).astype(dtype)
  numbers = random.standard_normal(shape)
  if np.issubdtype(dtype, np.complexfloating):
    return ((numbers + 1j * random.standard_normal(shape)) * _spread(name, shape)).astype(dtype)
  middle = 1.0 if _named(name, AROUND_ONE) else 0.0
  return (middle + _spread(name, shape) * numbers).astype(dtype)


def _named(name: str, endings: tuple[str, ...]) -> bool:
  return any(name == ending or name.endswith('_' + ending) for ending in endings)


def _spread(name: str, shape: tuple[int, ...]) -> float:
  if _named(name, UNIT):
    return 1.0
  if _named(name, AROUND_ONE) or len(shape) < 2:
    return 0.3
  return 1 / math.sqrt(max(1, math.prod(shape[:-1])))
