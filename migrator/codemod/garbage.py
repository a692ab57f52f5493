"""Fewer garbage collections while syntax trees are held: they live to the end, and visiting them again is slow."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_NEW_OBJECTS = 1_000_000


@contextlib.contextmanager
def rarely_collected() -> Iterator[None]:
  """Collects after many more new objects than usual, and leaves out what is there at the start."""
  before = gc.get_threshold()
  gc.freeze()
  gc.set_threshold(_NEW_OBJECTS, *before[1:])
  try:
    yield
  finally:
    gc.freeze()  # else all that is young is visited at once
    gc.set_threshold(*before)
    gc.unfreeze()
