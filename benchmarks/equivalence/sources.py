"""Fixture programs migrated into two source trees, and what the processes of a check cost."""
from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from migrator.equivalence.process import WorkerProcess
from migrator.manifest import Manifest

PROGRAMS = Path(__file__).resolve().parents[2] / 'fixtures' / 'programs'
# Seconds between two readings of the memory.
EVERY = 0.05
TICKS = os.sysconf('SC_CLK_TCK')


def migrated_sources(folder: Path, names: list[str], numerics: str = 'exact') -> Any:
  """Lays out fixture programs under folder/linen, migrates them into folder/nnx, returns the manifest."""
  from migrator.codemod import Options, migrate

  linen, nnx = folder / 'linen', folder / 'nnx'
  linen.mkdir(parents=True)
  for name in names:
    source = PROGRAMS / name / 'linen.py'
    if source.is_file():
      shutil.copy(source, linen / f'{name}.py')
    else:
      shutil.copytree(PROGRAMS / name / 'linen', linen / name)
  result = migrate([linen], linen, Options(numerics=numerics))
  shutil.copytree(linen, nnx)
  for change in result.files:
    target = nnx / change.path.relative_to(linen)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(change.after, encoding='utf-8')
  return result.manifest


def migrated_apart(folder: Path, names: list[str]) -> Manifest:
  """As `migrated_sources`, in a process of its own, so that what it takes is not counted here."""
  subprocess.run([sys.executable, '-m', 'benchmarks.equivalence.sources', str(folder), *names], check=True)
  return Manifest.from_json((folder / 'manifest.json').read_text(encoding='utf-8'))


class Meter:
  """The memory of this process and the workers together while a context is open; pages they share count once."""

  def __init__(self, workers: Sequence[WorkerProcess]):
    self._pids = [os.getpid(), *(worker._process.pid for worker in workers)]
    self._stop = threading.Event()
    self.together = 0.0

  def __enter__(self) -> Meter:
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *error: object) -> None:
    self._stop.set()
    self._thread.join()

  def _watch(self) -> None:
    while not self._stop.wait(EVERY):
      self.together = max(self.together, sum(map(_proportional, self._pids)))


def _proportional(pid: int) -> float:
  try:
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
  except OSError:
    return 0.0
  return next((int(line.split()[1]) / 1024 for line in lines if line.startswith('Pss:')), 0.0)


@dataclasses.dataclass(frozen=True)
class Cost:
  """Processor seconds and peak memory in MiB, of this process and of the workers.

  together: of all at the same time, if it was watched.
  """

  seconds: float
  here: float
  workers: tuple[float, ...]
  together: float = 0.0

  @property
  def memory(self) -> float:
    """The largest process."""
    return max(self.here, *self.workers)


def spent(workers: list[WorkerProcess]) -> float:
  """Returns the processor time so far, in seconds, of this process and the workers."""
  return time.process_time() + sum(_seconds(worker._process.pid) for worker in workers)


def cost(workers: list[WorkerProcess], since: float) -> Cost:
  """Returns what was spent since a time of `spent`."""
  here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  return Cost(spent(workers) - since, here, tuple(_peak(worker._process.pid) for worker in workers))


def _seconds(pid: int) -> float:
  fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
  return (int(fields[11]) + int(fields[12])) / TICKS


def _peak(pid: int) -> float:
  lines = Path(f'/proc/{pid}/status').read_text().splitlines()
  return next(int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM'))


if __name__ == '__main__':
  target = Path(sys.argv[1])
  (target / 'manifest.json').write_text(migrated_sources(target, sys.argv[2:]).to_json(), encoding='utf-8')
