"""Arithmetic in Z_p on NumPy arrays of int64.

p is near 2**31, 3 mod 4 (so that a square root is a power), and the small
primes are squares (so that sqrt(32) and 1/sqrt(32) exist and cancel).
"""
from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np

SMALL = (2, 3, 5, 7, 11, 13)
WITNESSES = (2, 3, 5, 7, 11, 13, 17)
# Constants within one rounding of a fraction with a denominator up to this are read as it.
LARGEST_DENOMINATOR = 256


def _is_prime(number: int) -> bool:
  """Miller-Rabin with witnesses that decide every number below 2**48."""
  if any(number % witness == 0 for witness in WITNESSES):
    return number in WITNESSES
  odd, twos = number - 1, 0
  while odd % 2 == 0:
    odd, twos = odd // 2, twos + 1
  for witness in WITNESSES:
    x = pow(witness, odd, number)
    if x in (1, number - 1):
      continue
    for _ in range(twos - 1):
      x = x * x % number
      if x == number - 1:
        break
    else:
      return False
  return True


def _largest() -> int:
  number = 2**31 - 1
  while not (number % 4 == 3 and _is_prime(number)
             and all(pow(small, (number - 1) // 2, number) == 1 for small in SMALL)):
    number -= 2
  return number


P = _largest()
HALF = P // 2
_ROOTS = {small: pow(small, (P + 1) // 4, P) for small in SMALL}


def power(base: Any, exponent: int) -> np.ndarray:
  """Returns base ** exponent, elementwise."""
  base, result = np.asarray(base, np.int64), np.ones(np.shape(base), np.int64)
  while exponent:
    if exponent & 1:
      result = result * base % P
    base, exponent = base * base % P, exponent >> 1
  return result


def inverse(value: Any) -> np.ndarray:
  """Returns 1 / value; 0 for 0."""
  return power(value, P - 2)


def root(value: Any) -> np.ndarray:
  """Returns a square root where there is one."""
  return power(value, (P + 1) // 4)


def bilinear(function: Any, left: Any, right: Any) -> np.ndarray:
  """Applies a bilinear function of float64 arrays, exactly, by splitting numbers into halves of 16 bits."""
  left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)

  def part(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(function(a.astype(np.float64), b.astype(np.float64))).astype(np.int64) % P

  high, low = (left >> 16, right >> 16), (left & 65535, right & 65535)
  top, bottom = part(*high), part(*low)
  middle = (part(high[0], low[1]) + part(low[0], high[1])) % P
  return (top * (2**32 % P) + middle * 65536 + bottom) % P


def of_fraction(value: Fraction) -> int:
  """Returns a fraction as an element."""
  return value.numerator % P * pow(value.denominator % P, P - 2, P) % P


@functools.lru_cache(1 << 16)
def of_float(value: float, relative: float) -> int | None:
  """Returns a float constant as an element; None for one that is no ordinary number.

  A constant within `relative` of a small fraction, or of the square root of one, is read as that
  number: 0.1 means a tenth whatever its format.  Anything else is the exact binary value.
  """
  if not math.isfinite(value) or abs(value) > 1e30:
    return None
  if value == int(value) and abs(value) < 2**53:
    return int(value) % P
  fraction = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
  if fraction and abs(float(fraction) - value) <= relative * abs(value):
    return of_fraction(fraction)
  square = Fraction(value * value).limit_denominator(LARGEST_DENOMINATOR)
  if square and abs(float(square) - value * value) <= 2 * relative * value * value:
    found = _root_of(square)
    if found is not None:
      return found if value > 0 else (-found) % P
  return of_fraction(Fraction(value))


def _root_of(square: Fraction) -> int | None:
  found = 1
  for number, upwards in ((square.numerator, True), (square.denominator, False)):
    for small in SMALL:
      while number % small == 0:
        number //= small
        found = found * (_ROOTS[small] if upwards else pow(_ROOTS[small], P - 2, P)) % P
    if number != 1:
      return None
  return found
