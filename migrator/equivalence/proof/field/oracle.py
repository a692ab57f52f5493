"""Random oracles: functions about which nothing is assumed but what is said here."""
from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np

from migrator.equivalence.proof.field.prime import HALF, P, inverse

MIDDLE = 2**52


def _mixed(value: np.ndarray, salt: int) -> np.ndarray:
  with np.errstate(over='ignore'):
    z = value.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 & (2**64 - 1))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return z ^ (z >> np.uint64(31))


@functools.lru_cache(None)
def seed_of(name: str) -> int:
  """Returns the salt of a name."""
  return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], 'big')


def oracle(name: str, *values: Any) -> np.ndarray:
  """Returns a random element for every combination of arguments, the same in every process."""
  mixed = np.zeros(np.broadcast_shapes(*(np.shape(value) for value in values)), np.uint64)
  for place, value in enumerate(values):
    mixed = _mixed(np.asarray(value).astype(np.uint64) ^ mixed, seed_of(name) + place)
  return (mixed % np.uint64(P)).astype(np.int64)




# What masks are made of: -inf, and the most negative number of a format.  Both mean "below everything".
LOWEST = int(oracle('below everything', np.zeros((), np.int64)))
HIGHEST = P - LOWEST


def extreme_constant(number: float) -> int:
  """Returns the element of a constant that is not finite, or beyond 1e30."""
  if number != number:
    return int(oracle('not a number', np.zeros((), np.int64)))
  return HIGHEST if number > 0 else LOWEST


def rank(value: Any) -> np.ndarray:
  """Returns the place in one fixed random order; zero is its median, so that relu keeps about half.

  Infinite and huge constants keep their places below and above all others.
  """
  value = np.asarray(value)
  found = np.where(value == 0, MIDDLE, (_mixed(value, 12345) >> np.uint64(11)).astype(np.int64))
  return np.where(value == LOWEST, -1, np.where(value == HIGHEST, 2**62, found))


def exponential(value: Any) -> np.ndarray:
  """exp as an oracle with exp(0) = 1 and exp(-x) exp(x) = 1."""
  value = np.asarray(value)
  negative = value > HALF
  found = oracle('exp', np.where(negative, P - value, value))
  found = np.where(found == 0, 1, found)
  return np.where(value == 0, 1, np.where(negative, inverse(found), found))


def odd(name: str, value: Any) -> np.ndarray:
  """An oracle with f(-x) = -f(x), such as erf."""
  value = np.asarray(value)
  negative = value > HALF
  found = oracle(name, np.where(negative, P - value, value))
  return np.where(value == 0, 0, np.where(negative, (-found) % P, found))


def even(name: str, value: Any) -> np.ndarray:
  """An oracle with f(-x) = f(x), such as cos."""
  value = np.asarray(value)
  return oracle(name, np.where(value > HALF, P - value, value))
