"""Runs a command and measures it: seconds, processor seconds, peak memory, new bytes."""
from __future__ import annotations

import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Run:
  """One run; new: bytes of files that share no inode with the source."""

  seconds: float
  cpu: float
  megabytes: float
  new: int


def run(words: Sequence[str], source: Path, target: Path, cold: bool = False) -> Run:
  """Runs a command that turns `source` into `target`.

  Args:
    cold: drop the source from the page cache before, so that it is read from the disk; else warm it.

  Raises:
    RuntimeError: it failed; its last words.
  """
  remove(target)
  os.sync()
  (cool if cold else warm)(source)
  start = time.perf_counter()
  process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             env=environment())
  assert process.stderr is not None
  text = process.stderr.read().decode()
  _, status, used = os.wait4(process.pid, 0)
  seconds = time.perf_counter() - start
  process.returncode = os.waitstatus_to_exitcode(status)
  if process.returncode:
    raise RuntimeError(f'{" ".join(words)}: exit code {process.returncode}\n{text[-2000:]}')
  return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, new_bytes(source, target))


def environment() -> dict[str, str]:
  """Returns that of the commands: modules come from their compiled form on both sides, as where they are installed."""
  return {name: value for name, value in os.environ.items() if name != 'PYTHONDONTWRITEBYTECODE'} | {'JAX_PLATFORMS': 'cpu'}


def files(path: Path) -> list[Path]:
  """Returns the files of a checkpoint."""
  return [path] if path.is_file() else [file for file in path.rglob('*') if file.is_file()]


def new_bytes(source: Path, target: Path) -> int:
  """Returns the bytes of the target's files that are not the source's."""
  known = {file.stat().st_ino for file in files(source)}
  return sum(file.stat().st_size for file in files(target) if file.stat().st_ino not in known)


def remove(path: Path) -> None:
  """Removes a checkpoint."""
  if path.is_file():
    path.unlink()
  else:
    shutil.rmtree(path, ignore_errors=True)


def warm(path: Path) -> None:
  """Reads all files once."""
  buffer = bytearray(1 << 22)
  for file in files(path):
    with file.open('rb', buffering=0) as opened:
      while opened.readinto(buffer):
        pass


def cool(path: Path) -> None:
  """Drops all files from the page cache."""
  for file in files(path):
    descriptor = os.open(file, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def interleaved(commands: Mapping[str, Sequence[str]], source: Path, target: Path, repeats: int,
                cold: bool = False) -> dict[str, list[Run]]:
  """Runs every command once per round, so that the machine's other work meets all of them."""
  found: dict[str, list[Run]] = {name: [] for name in commands}
  for number in range(repeats):
    for name, words in commands.items():
      found[name].append(_steady(words, source, target, cold))
      last = found[name][-1]
      print(f'  {number + 1}/{repeats} {name}: {last.seconds:.2f} s, cpu {last.cpu:.2f} s, {last.megabytes:.0f} MB, '
            f'{last.new / 1e6:.1f} MB new', file=sys.stderr, flush=True)
  remove(target)
  return found


def _steady(words: Sequence[str], source: Path, target: Path, cold: bool) -> Run:
  """What takes less than a second is run three times, and the one in the middle counts."""
  runs = [run(words, source, target, cold)]
  while len(runs) < 3 and runs[0].seconds < 1:
    runs.append(run(words, source, target, cold))
  return sorted(runs, key=lambda one: one.seconds)[len(runs) // 2]


def median(runs: Sequence[Run], name: str) -> float:
  """Returns the median of one figure."""
  return statistics.median(getattr(item, name) for item in runs)


def ratio(of: Sequence[Run], to: Sequence[Run], name: str = 'seconds') -> float:
  """Returns the median of the rounds' ratios."""
  return statistics.median(getattr(one, name) / getattr(other, name) for one, other in zip(of, to))
