"""`python -m benchmarks.codemod PATH...`: what a migration costs, against parsing the same files with libcst.

Every folder is a package and is migrated by itself, in a fresh process; files are migrated together.  Nothing is
written.  All figures are CPU seconds of one process (user and system).  `start-up` is what the process spent before the
first file was opened: Python, JAX and libcst; it is the same for every package and stands apart.  `migrate` is all
the rest, from the first file to the last new text.  With `--jobs` start-up is part of `migrate`: every process starts JAX.
"""
from __future__ import annotations

import argparse
import functools
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus.packages import CACHE, linen_files, read_table
from benchmarks.corpus.probe import cpu_seconds, import_tools, parse_all, peak_megabytes

STAGES = ('reading', 'grouping', 'interpreting', 'planning', 'writing')
REPEATS = 3  # parsing a few files takes too little time to be measured once


class Clock:
  """CPU seconds by stage."""

  def __init__(self) -> None:
    self.seconds = dict.fromkeys(STAGES, 0.0)

  def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `work` with its time added to `stage`."""
    @functools.wraps(work)
    def run(*args: Any, **named: Any) -> Any:
      start = cpu_seconds()
      try:
        return work(*args, **named)
      finally:
        self.seconds[stage] += cpu_seconds() - start
    return run


def measured(paths: Sequence[Path], root: Path, only_linen: bool, jobs: int) -> dict[str, Any]:
  """Migrates in this process; returns the CPU seconds by stage, of the whole run, of start-up and of parsing."""
  from migrator.codemod.options import Options

  part, order, whole = (
    importlib.import_module(f'migrator.{name}') for name in ('codemod.part', 'shapes.analysis', 'codemod.migrate'))
  clock = Clock()
  for module, name, stage in ((whole, 'read_project', 'reading'), (whole, 'independent', 'grouping'),
                              (order, 'analyse_all', 'interpreting'), (part, 'plan_classes', 'planning'),
                              (part, 'write_modules', 'writing')):
    setattr(module, name, clock.timed(stage, getattr(module, name)))
  started = cpu_seconds()
  linen = sorted({file for path in paths for file in (linen_files(path) if path.is_dir() else [path])})
  start = cpu_seconds()
  for _ in range(REPEATS):
    parse_all(linen)
  parsing = (cpu_seconds() - start) / REPEATS
  start, wall = cpu_seconds(), time.perf_counter()
  whole.migrate(linen if only_linen else paths, root, Options(jobs=jobs), () if only_linen else None)
  total, wall = cpu_seconds() - start, time.perf_counter() - wall
  peak = peak_megabytes()
  return {'files': len(linen), 'parse': parsing, 'start-up': started, **clock.seconds, 'migrate': total,
          'wall': wall, 'megabytes': peak}


def in_a_process(paths: Sequence[Path], root: Path | None, options: argparse.Namespace) -> dict[str, Any]:
  """Measures one package in a fresh process.

  Raises:
    subprocess.CalledProcessError: the migration failed; its error stream has been shown.
  """
  command = [sys.executable, '-m', 'benchmarks.codemod', '--child', '--jobs', str(options.jobs), *map(str, paths)]
  command += ['--root', str(root)] if root is not None else []
  command += ['--only-linen'] if options.only_linen else []
  done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
  return dict(json.loads(done.stdout.splitlines()[-1]))


def row(name: str, found: dict[str, Any]) -> str:
  """Returns the line of one package."""
  ratio, all_ratio = (cost / found['parse'] for cost in (found['migrate'], found['migrate'] + found['start-up']))
  return (f'{name:22}{found["files"]:6}{found["parse"]:8.2f}{found["migrate"]:9.2f}{ratio:7.1f}x'
          f'{found["start-up"]:10.2f}{all_ratio:7.1f}x{found["wall"]:8.2f}{found["megabytes"]:6.0f}')


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Returns the figures of all packages together; the memory is the largest."""
  total = {key: sum(found[key] for found in rows) for key in rows[0]}
  return {**total, 'megabytes': max(found['megabytes'] for found in rows)}


def report(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
  """Prints the table and the stages of the sum."""
  if len(rows) > 1:
    print(row('all', summed(rows)))
  total = summed(rows)
  print(f'\nof libcst parsing, {", ".join(names) if len(names) < 3 else f"{len(names)} packages"}:')
  rest = total['migrate'] - sum(total[stage] for stage in STAGES)
  for stage, seconds in (*((stage, total[stage]) for stage in STAGES), ('the rest', rest)):
    print(f'  {stage:13}{seconds:8.2f} s{seconds / total["parse"]:7.1f} x')


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(prog='python -m benchmarks.codemod', description=__doc__)
  parser.add_argument('paths', type=Path, nargs='*', metavar='PATH',
                      help='folders (a package each), or files of one; default: the corpus that was downloaded')
  parser.add_argument('--root', type=Path, help='folder of the import names; default: the folder itself')
  parser.add_argument('--only-linen', action='store_true', help='migrate only the files that import flax.linen')
  parser.add_argument('-j', '--jobs', type=int, default=1, help='processes of a migration')
  parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
  return parser.parse_args()


def main() -> int:
  """Prints the table; returns 0."""
  options = _arguments()
  paths = [path.absolute() for path in options.paths]
  paths = paths or [CACHE / package.folder for package in read_table() if (CACHE / package.folder).is_dir()]
  folders = [path for path in paths if path.is_dir()]
  files = [path for path in paths if not path.is_dir()]
  if options.child:
    root = options.root or (paths[0] if paths[0].is_dir() else paths[0].parent)
    if options.jobs == 1:  # more processes are copies of one without JAX, so that each starts JAX by itself
      import_tools()
    print(json.dumps(measured(paths, root.absolute(), options.only_linen, options.jobs)))
    return 0
  print(f'{"package":22}{"files":>6}{"parse":>8}{"migrate":>9}{"x parse":>8}{"start-up":>10}{"all":>8}'
        f'{"wall":>8}{"MB":>6}')
  names, rows = [], []
  for group in (*([folder] for folder in folders), *([files] if files else [])):
    names.append(group[0].name)
    rows.append(in_a_process(group, options.root, options))
    print(row(names[-1], rows[-1]), flush=True)
  report(names, rows)
  return 0


if __name__ == '__main__':
  sys.exit(main())
