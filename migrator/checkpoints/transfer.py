"""Brings the data files of a source to the target: hard link, else reflink, else a copy of what is used."""
from __future__ import annotations

import bisect
import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.storage import Range

# Gaps below this are copied too: one call for all is faster than one per array.
GAP = 1 << 20
_STEP = 1 << 26
THREADS = min(os.cpu_count() or 1, 4)
_CLONE = 0x40049409  # FICLONE of <linux/fs.h>

# What `_copied` takes.
_Job = tuple[str, Path, int, int, int]


@dataclasses.dataclass(frozen=True)
class Brought:
  """A data file in the target.  name: below the target.  how: 'link', 'reflink' or 'copy'.

  starts, moved: where spans begin in the source file, and in the target's.
  """

  name: str
  how: str
  starts: tuple[int, ...] = (0,)
  moved: tuple[int, ...] = (0,)

  def place(self, chunk: Range) -> tuple[str, int, int]:
    """Returns (file, offset, length) in the target."""
    span = bisect.bisect_right(self.starts, chunk.offset) - 1
    return self.name, self.moved[span] + chunk.offset - self.starts[span], chunk.length


@contextlib.contextmanager
def brought(chunks: Iterable[Range], top: Path, copy: bool = False, folder: str = 'd') -> Iterator[Mapping[str, Brought]]:
  """Links every file that the chunks lie in, or copies what is used of it while the block runs.

  Args:
    top: the target's folder.
    copy: never share bytes with the source.

  Yields:
    {source file: what it becomes}; files have their sizes from the start, their bytes when the block has ended.

  Raises:
    CheckpointError: a source file is shorter than it was.
  """
  spans: dict[str, list[tuple[int, int]]] = {}
  for chunk in chunks:
    spans.setdefault(chunk.file, []).append((chunk.offset, chunk.offset + chunk.length))
  (top / folder).mkdir(parents=True, exist_ok=True)
  jobs: list[_Job] = []
  made = {file: _bring(file, spans[file], top, f'{folder}/data_{number}', copy, jobs)
          for number, file in enumerate(sorted(spans))}
  if not jobs:
    yield made
    return
  from concurrent.futures import ThreadPoolExecutor
  pool = ThreadPoolExecutor(THREADS)
  try:
    parts = [pool.submit(_copied, *job) for job in jobs]
    yield made
    for part in parts:
      part.result()
  finally:
    pool.shutdown(cancel_futures=True)


def _bring(file: str, spans: list[tuple[int, int]], top: Path, name: str, copy: bool, jobs: list[_Job]) -> Brought:
  target = top / name
  if not copy and _linked(file, target):
    return Brought(name, 'link')
  if not copy and _cloned(file, target):
    return Brought(name, 'reflink')
  starts, moved, offset = [], [], 0
  for start, stop in _merged(spans):
    starts.append(start)
    moved.append(offset)
    jobs += [(file, target, piece, min(piece + _STEP, stop), offset + piece - start) for piece in range(start, stop, _STEP)]
    offset += stop - start
  _reserve(target, offset)
  return Brought(name, 'copy', tuple(starts), tuple(moved))


def _linked(file: str, target: Path) -> bool:
  try:
    os.link(file, target)
  except OSError:  # another file system, another owner (protected_hardlinks), or no links there at all
    return False
  return True


def _cloned(file: str, target: Path) -> bool:
  import fcntl
  with open(file, 'rb') as source, target.open('xb') as made:
    try:
      fcntl.ioctl(made.fileno(), _CLONE, source.fileno())
      return True
    except OSError:
      pass
  target.unlink()
  return False


def _reserve(target: Path, size: int) -> None:
  """Makes a file of a size.  Space that is set aside beforehand is filled faster, by several threads above all."""
  with target.open('xb') as made:
    made.truncate(size)
    import ctypes
    # Not os.posix_fallocate: where the file system cannot, it writes to every block.
    with contextlib.suppress(OSError, AttributeError):
      ctypes.CDLL(None).fallocate(made.fileno(), 0, ctypes.c_int64(0), ctypes.c_int64(size))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
  merged: list[tuple[int, int]] = []
  for start, stop in sorted(spans):
    if merged and start <= merged[-1][1] + GAP:
      merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
    else:
      merged.append((start, stop))
  return merged


def _copied(file: str, target: Path, start: int, stop: int, offset: int) -> None:
  """Copies bytes start to stop of a file to an offset of the target."""
  source = os.open(file, os.O_RDONLY)
  made = os.open(target, os.O_WRONLY)
  done = start
  try:
    while done < stop:
      count = _copy_some(source, made, done, stop - done, offset + done - start)
      if not count:
        raise CheckpointError(f'{file}: ends at byte {done}, {stop} are needed; {DAMAGED}')
      done += count
  finally:
    os.close(source)
    os.close(made)


def _copy_some(source: int, target: int, start: int, count: int, offset: int) -> int:
  try:
    return os.copy_file_range(source, target, count, start, offset)
  except OSError:  # between some file systems
    return os.pwrite(target, os.pread(source, min(count, 1 << 22), start), offset)
