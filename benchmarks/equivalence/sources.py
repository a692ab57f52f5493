"""Fixture programs migrated into two source trees, and what the processes of a check cost."""
from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import time
from pathlib import Path
from typing import Any

from migrator.equivalence.process import WorkerProcess

PROGRAMS = Path(__file__).resolve().parents[2] / 'fixtures' / 'programs'
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


@dataclasses.dataclass(frozen=True)
class Cost:
  """Processor seconds and peak memory in MiB, of this process and of the workers."""

  seconds: float
  here: float
  workers: tuple[float, ...]

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
