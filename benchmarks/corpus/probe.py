"""One package in one process: migrate a copy, write it, compile it, migrate it again; all measured.

Run as `python -m benchmarks.corpus.probe COPY RESULT.json MODE [only-linen]`; the parent reads RESULT.json.
"""
from __future__ import annotations

import dataclasses
import importlib
import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.corpus.packages import linen_files

# Ours first: they say how JAX is to be imported.
TOOLS = ('migrator.codemod.migrate', 'migrator.shapes.analysis', 'migrator.shapes.calls', 'libcst', 'libcst.native', 'jax',
         'jax.export', 'jax.numpy', 'flax.linen')
OUTCOMES = ('native', 'helper', 'bridged', 'left')


def cpu_seconds() -> float:
  """CPU time of this process and of its finished children."""
  own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
  return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_megabytes() -> float:
  """Peak memory of this process or of its largest child; ru_maxrss is in KiB on Linux, bytes on macOS."""
  peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
  return peak / (1 << 20 if sys.platform == 'darwin' else 1 << 10)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
  """Returns (value, CPU seconds, wall seconds)."""
  cpu, wall = cpu_seconds(), time.perf_counter()
  value = work()
  return value, cpu_seconds() - cpu, time.perf_counter() - wall


def import_tools() -> None:
  """Imports what a run needs, the lazy imports too, before the clock of the run starts."""
  for name in TOOLS:
    importlib.import_module(name)


def parse_all(files: list[Path]) -> int:
  """Parses the files with libcst and does nothing else; returns how many could be parsed."""
  import libcst

  parsed = 0
  for file in files:
    try:
      libcst.parse_module(file.read_bytes())
      parsed += 1
    except Exception as error:
      print(f'{file.name}: libcst: {type(error).__name__}', file=sys.stderr)
  return parsed


def does_not_compile(file: Path) -> str | None:
  """Returns the error of compiling a file, or None."""
  try:
    compile(file.read_bytes(), str(file), 'exec', dont_inherit=True)
  except (SyntaxError, ValueError) as error:
    return f'{type(error).__name__}: {error.args[0]} (line {getattr(error, "lineno", 0)})'
  return None


def general(reason: str) -> str:
  """A reason without the names and numbers of its place, so that equal reasons count together."""
  return re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"|\b\d+\b", '…', reason)


def probe(copy: Path, mode: str, only_linen: bool) -> dict[str, Any]:
  """Migrates the sources under `copy` in place and returns what was seen."""
  linen = linen_files(copy)
  broken_before = {file for file in copy.rglob('*.py') if does_not_compile(file)}
  _, import_cpu, _ = timed(import_tools)
  from migrator.codemod.migrate import migrate
  from migrator.codemod.options import Options
  from migrator.codemod.write import write_files

  _, parse_cpu, _ = timed(lambda: parse_all(linen))
  paths, callers = (linen, ()) if only_linen else ([copy], None)
  result, run_cpu, run_wall = timed(lambda: migrate(paths, copy, Options(mode=mode), callers))
  peak = peak_megabytes()
  write_files({change.path: change.after for change in result.files})
  again = migrate(paths, copy, Options(mode=mode), callers)
  return {
    'linen_files': len(linen),
    'files_written': len(result.files),
    'classes': len(result.classes),
    **{outcome: sum(report.outcome == outcome for report in result.classes) for outcome in OUTCOMES},
    'reasons': _reasons(result.classes),
    'findings': dict(Counter(finding.level for finding in result.findings)),
    'finding_codes': dict(Counter(finding.code for finding in result.findings).most_common()),
    'unreadable': [dataclasses.asdict(error) for error in result.errors],
    'no_longer_compile': _broken(copy, broken_before),
    'changed_by_second_run': sorted(change.path.relative_to(copy).as_posix() for change in again.files),
    'written': sorted(change.path.relative_to(copy).as_posix() for change in result.files),
    'seconds': round(run_wall, 3),
    'cpu_seconds': round(run_cpu, 3),
    'import_cpu_seconds': round(import_cpu, 3),
    'parse_cpu_seconds': round(parse_cpu, 3),
    'ratio_to_parsing': round(run_cpu / parse_cpu, 2) if parse_cpu else None,
    'peak_megabytes': round(peak, 1),
  }


def _reasons(classes: Any) -> dict[str, int]:
  counts = Counter(general(reason) for report in classes if report.outcome in ('bridged', 'left')
                   for reason in set(report.reasons))
  return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def _broken(copy: Path, broken_before: set[Path]) -> dict[str, str]:
  errors = {file: does_not_compile(file) for file in sorted(copy.rglob('*.py')) if file not in broken_before}
  return {file.relative_to(copy).as_posix(): error for file, error in errors.items() if error}


if __name__ == '__main__':
  target = Path(sys.argv[2])
  target.write_text(json.dumps(probe(Path(sys.argv[1]), sys.argv[3], 'only-linen' in sys.argv[4:])), encoding='utf-8')
