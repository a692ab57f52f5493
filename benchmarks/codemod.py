"""`python -m benchmarks.codemod PATH...`: where the time of a migration goes, against parsing the files with libcst.

Nothing is written.  All numbers are CPU seconds of this process; libraries are imported before the clock starts.
"""
from __future__ import annotations

import argparse
import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.corpus.packages import linen_files
from benchmarks.corpus.probe import cpu_seconds, import_tools, parse_all, peak_megabytes

STAGES = ('reading', 'grouping', 'interpreting', 'planning', 'writing')


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


def measured(paths: list[Path], root: Path) -> tuple[dict[str, float], float]:
  """Migrates in one process; returns the CPU seconds by stage and of the whole run."""
  part, analysis, whole = (
    importlib.import_module(f'migrator.{name}') for name in ('codemod.part', 'shapes.analysis', 'codemod.migrate'))
  clock = Clock()
  for module, name, stage in ((whole, 'read_project', 'reading'), (whole, 'independent', 'grouping'),
                              (analysis, 'analyse_all', 'interpreting'), (part, 'plan_classes', 'planning'),
                              (part, 'write_modules', 'writing')):
    setattr(module, name, clock.timed(stage, getattr(module, name)))
  start = cpu_seconds()
  whole.migrate(paths, root)
  return clock.seconds, cpu_seconds() - start


def main() -> int:
  """Prints the table; returns 0."""
  parser = argparse.ArgumentParser(prog='python -m benchmarks.codemod', description=__doc__)
  parser.add_argument('paths', type=Path, nargs='+', metavar='PATH', help='files, or one folder')
  parser.add_argument('--root', type=Path, help='folder of the import names; default: the folder itself')
  parser.add_argument('--only-linen', action='store_true', help='only the files that import flax.linen')
  options = parser.parse_args()
  paths = [path.absolute() for path in options.paths]
  root = (options.root or (paths[0] if paths[0].is_dir() else paths[0].parent)).absolute()
  linen = sorted({file for path in paths for file in (linen_files(path) if path.is_dir() else [path])})
  import_tools()
  start = cpu_seconds()
  parsed = parse_all(linen)
  parsing = cpu_seconds() - start
  stages, total = measured(linen if options.only_linen else paths, root)
  print(f'libcst parse  {parsing:8.2f} s   {parsed} files that import flax.linen')
  for stage, seconds in stages.items():
    print(f'{stage:13} {seconds:8.2f} s   {seconds / parsing:5.1f} x')
  rest = total - sum(stages.values())
  print(f'{"the rest":13} {rest:8.2f} s   {rest / parsing:5.1f} x')
  print(f'{"in all":13} {total:8.2f} s   {total / parsing:5.1f} x')
  print(f'peak memory   {peak_megabytes():8.0f} MB')
  return 0


if __name__ == '__main__':
  sys.exit(main())
