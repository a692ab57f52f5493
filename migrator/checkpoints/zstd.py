"""Zstandard frames, through `zstandard`; where it is not installed, TensorStore does what it can, slower."""
from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any

# As Orbax compresses.
LEVEL = 1
_PIECE = 1 << 20


@functools.cache
def library() -> Any:
  """Returns the module `zstandard`, or None."""
  try:
    return importlib.import_module('zstandard')
  except ImportError:
    return None


def decompressed(content: bytes, most: int) -> bytes | None:
  """Returns what one frame holds; None for bytes that are no frame, or hold more than `most`."""
  found = library()
  assert found is not None
  try:
    size = found.frame_content_size(content)
    if size > most:
      return None
    made: bytes = found.ZstdDecompressor().decompress(content, max_output_size=max(most, 1), allow_extra_data=False)
  except (found.ZstdError, ValueError):
    return None
  return made if len(made) <= most else None


def decompress_into(content: Any, place: memoryview) -> bool:
  """Fills a place with what one frame holds, which must be as large; returns whether it is."""
  found = library()
  assert found is not None
  done = 0
  try:
    with found.ZstdDecompressor().stream_reader(content) as reader:
      while done < len(place):
        count = reader.readinto(place[done:])
        if not count:
          return False
        done += count
      return not reader.read(1)
  except (found.ZstdError, ValueError):
    return False


def compressed(content: Any) -> Iterator[bytes]:
  """Yields the frame of some bytes, in pieces."""
  found = library()
  assert found is not None
  view = memoryview(content).cast('B')
  chunker = found.ZstdCompressor(level=LEVEL).chunker(size=len(view), chunk_size=_PIECE)
  for start in range(0, len(view), _PIECE):
    yield from chunker.compress(view[start:start + _PIECE])
  yield from chunker.finish()
