"""Gives memory that was freed back to the system: glibc keeps what was cut into small pieces."""
from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], int] | None:
  """Returns glibc's malloc_trim; None with another C library."""
  try:
    found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
  except (OSError, AttributeError):
    return None
  return found


def give_back() -> None:
  """Returns free memory to the system, where the C library can."""
  trim = _trim()
  if trim is not None:
    trim(0)
