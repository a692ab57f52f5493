"""Counts what must be zero: flipped bits that are not found, partial targets and changed sources after kill -9."""
from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.checkpoints.measure import files, remove


def flips(checked: Path, words: Sequence[str], trials: int) -> int:
  """Returns how many flipped bits a check finds.

  Args:
    checked: a converted checkpoint with its list of sums, all files its own.
    words: the command that checks it.
  """
  chosen = random.Random(0)
  data = [file for file in (checked / 'd').iterdir() if file.name.startswith(('data', 'new'))]
  found = 0
  for _ in range(trials):
    file = chosen.choices(data, [file.stat().st_size for file in data])[0]
    place, bit = chosen.randrange(file.stat().st_size), 1 << chosen.randrange(8)
    _flip(file, place, bit)
    found += subprocess.run(words, capture_output=True, check=False).returncode == 2
    _flip(file, place, bit)
  if subprocess.run(words, capture_output=True, check=False).returncode:
    raise RuntimeError(f'{checked}: the check finds fault with an unchanged checkpoint')
  return found


def _flip(file: Path, place: int, bit: int) -> None:
  with file.open('r+b') as opened:
    opened.seek(place)
    old = opened.read(1)
    opened.seek(place)
    opened.write(bytes([old[0] ^ bit]))


def kills(commands: Sequence[tuple[Sequence[str], float]], source: Path, target: Path, trials: int) -> dict[str, int]:
  """Kills conversions at random moments.

  Args:
    commands: (words, seconds a whole run takes).

  Returns:
    how many times there was no target, a whole one, a partial one; sources that changed; and
    folders that the last, uninterrupted run left behind.
  """
  chosen = random.Random(1)
  before = _state(source)
  counts = {'none': 0, 'whole': 0, 'partial': 0, 'changed sources': 0}
  for number in range(trials):
    words, seconds = commands[number % len(commands)]
    remove(target)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Some runs end before: a machine with other work is not always as fast.
    time.sleep(chosen.uniform(0, 1.5 * seconds))
    process.send_signal(signal.SIGKILL)
    process.wait()
    is_there = os.path.lexists(target)
    is_whole = is_there and _is_whole(target)
    counts['whole' if is_whole else 'partial' if is_there else 'none'] += 1
    counts['changed sources'] += _state(source) != before
  remove(target)
  subprocess.run(commands[0][0], check=True, capture_output=True)
  counts['left behind'] = len([name for name in os.listdir(target.parent) if name.endswith('-tmp')])
  remove(target)
  return counts


def _is_whole(target: Path) -> bool:
  """A target is whole if every array of it can be found, with all its bytes inside its files."""
  from migrator.checkpoints.layouts import open_checkpoint
  try:
    return bool(open_checkpoint(target).leaves()) and (target / 'commit_success.txt').is_file()
  except Exception:  # whatever is wrong with it, it is not whole
    return False


def _state(source: Path) -> list[tuple[str, int, int]]:
  return sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files(source))


def small_copy(words: Sequence[str], target: Path) -> None:
  """Runs a conversion anew."""
  shutil.rmtree(target, ignore_errors=True)
  subprocess.run(words, check=True, capture_output=True)
