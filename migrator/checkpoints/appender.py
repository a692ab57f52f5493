"""New data files of a target: one for each thread that computes, written out to the disk meanwhile."""
from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

# Seconds between writing out what was computed.
_PAUSE = 0.5


class Appender:
  """A data file that one thread appends to."""

  def __init__(self, top: Path, name: str):
    self._file, self._name = top / name, name
    self.descriptor: int | None = None
    self._size = 0

  def add(self, pieces: Iterable[bytes]) -> tuple[str, int, int]:
    """Writes bytes and returns where they are."""
    if self.descriptor is None:
      self._file.parent.mkdir(parents=True, exist_ok=True)
      self.descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    start = self._size
    for piece in pieces:
      view, done = memoryview(piece), 0
      while done < len(view):
        done += os.pwrite(self.descriptor, view[done:], self._size + done)
      self._size += len(view)
    return self._name, start, self._size - start

  def close(self) -> None:
    """Closes the file."""
    descriptor, self.descriptor = self.descriptor, None
    if descriptor is not None:
      os.close(descriptor)


class Appenders:
  """The data files of all threads, which are written out to the disk while more is computed."""

  def __init__(self, top: Path, name: str):
    self._top, self._name = top, name
    self._own = threading.local()
    self._all: list[Appender] = []
    self._lock, self._done = threading.Lock(), threading.Event()
    self._syncing = threading.Thread(target=self._sync)

  def own(self) -> Appender:
    """Returns the file of this thread."""
    if not hasattr(self._own, 'file'):
      with self._lock:
        self._own.file = Appender(self._top, f'{self._name}_{len(self._all)}')
        self._all.append(self._own.file)
    file: Appender = self._own.file
    return file

  def _sync(self) -> None:
    """What is left at the end, `staging` syncs: errors show there."""
    while not self._done.wait(_PAUSE):
      with self._lock:
        files = list(self._all)
      for file in files:
        if file.descriptor is not None:
          with contextlib.suppress(OSError):
            os.fdatasync(file.descriptor)

  def __enter__(self) -> Appenders:
    self._syncing.start()
    return self

  def __exit__(self, *failure: object) -> None:
    self._done.set()
    self._syncing.join()
    for file in self._all:
      file.close()
