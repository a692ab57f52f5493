"""The prover over the public corpus and over the fixtures: verdicts by mode, for both numerics.

`python -m benchmarks.equivalence.survey [--numerics exact] [--package NAME | --fixtures] [--results DIR]`
works through one package after the other and keeps what it found in DIR, so that it can be stopped and goes on
where it was; `--again` does what is there anew, `--table` only prints.
"""
from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus.compare_package import cases_file, compare_package
from benchmarks.corpus.packages import CACHE, CorpusError, Package, fetch, read_table
from benchmarks.equivalence.sources import PROGRAMS, migrated_sources
from benchmarks.equivalence.surveyed import rows

NUMERICS = ('exact', 'idiomatic')
FIXTURES = 'fixtures'
MODES = ('eval', 'eval state', 'train', 'train state', 'gradient', 'step', 'batch of one', 'init', 'keys')
LEVELS = ('L0', 'L0u', 'L1', 'L2', 'L2-precision', 'not proved', 'differs')
EXACT, EQUAL = LEVELS[:2], LEVELS[:4]
# Share of cases, by numerics: (levels, modes that must reach them, least share).
WANTED = {'exact': (EXACT, ('eval', 'gradient'), 0.9), 'idiomatic': (EQUAL, ('eval', 'train', 'gradient'), 0.95)}
SAME_NUMBERS = ('bitwise', 'close')
Row = Mapping[str, Any]


def main() -> int:
  options = _arguments()
  options.results.mkdir(parents=True, exist_ok=True)
  for numerics in options.numerics or NUMERICS:
    for package in [] if options.table else _chosen(options):
      _surveyed(package, numerics, options)
  text, faults = table(read_results(options.results))
  print(text)
  return int(bool(faults))


def read_results(folder: Path) -> dict[tuple[str, str], list[Row]]:
  """Returns the rows found so far, by (numerics, package)."""
  found = {}
  for file in sorted(folder.glob('*.json')):
    document = json.loads(file.read_text(encoding='utf-8'))
    found[document['numerics'], document['package']] = document['cases']
  return found


def table(found: Mapping[tuple[str, str], Sequence[Row]]) -> tuple[str, list[str]]:
  """Returns a text with counts of verdicts and shares of what is wanted, and what is not explained."""
  lines, faults = [], []
  for numerics in NUMERICS:
    for name, belongs in (('corpus', lambda package: package != FIXTURES), (FIXTURES, lambda package: package == FIXTURES)):
      cases = [(package, row) for (kind, package), rows in found.items() if kind == numerics and belongs(package)
               for row in rows]
      checked = [(package, row) for package, row in cases if not row['refused']]
      if not cases:
        continue
      lines += ['', f'{name}, --numerics {numerics}: {len(checked)} cases, {len(cases) - len(checked)} stay Linen',
                f'{"mode":14s}' + ''.join(f'{level:>14s}' for level in LEVELS)]
      for mode in MODES:
        counts = collections.Counter(row['levels'].get(mode) for _, row in checked)
        lines.append(f'{mode:14s}' + ''.join(f'{counts[level] or "":>14}' for level in LEVELS))
      lines.append(_share(numerics, [row for _, row in checked]))
      unexplained = [(package, row, why) for package, row in checked if (why := unexplained_reason(row))]
      lines += [f'not explained: {package}: {row["name"]}: {why}' for package, row, why in unexplained]
      lines += [f'stays Linen: {package}: {row["name"]}: {row["failure"]}' for package, row in cases if row['refused']]
      faults += [row['name'] for _, row, _ in unexplained]
  return '\n'.join(lines), faults


def _share(numerics: str, checked: Sequence[Row]) -> str:
  levels, modes, least = WANTED[numerics]
  good = [row for row in checked if all(row['levels'].get(mode, levels[0]) in levels for mode in modes) and row['levels'].get('weights') == 'L0']
  words = f'{" and ".join(modes)} {levels[-1]} or better: {len(good)} of {len(checked)} cases'
  return f'{words} ({len(good) / max(1, len(checked)):.0%}, wanted {least:.0%})'


def unexplained_reason(row: Row) -> str:
  """Returns why a case is neither proved to be the same real function nor equal in numbers; '' when it is."""
  if row['failure']:
    return str(row['failure'])
  numbers = row.get('numbers')
  if numbers is not None and numbers not in SAME_NUMBERS:
    return f'numbers: {numbers}: ' + '; '.join(f'{name}: {words}' for name, words in row['parts'].items()
                                                if words.split(' ')[0] not in (*SAME_NUMBERS, 'not'))
  bad = [f'{mode}: {level}: {row["reasons"].get(mode, "")}' for mode, level in row['levels'].items()
         if level == 'differs' or numbers is None and mode in MODES[:6] and level not in EQUAL]
  return '; '.join(bad)


def _surveyed(package: Package | None, numerics: str, options: argparse.Namespace) -> None:
  name = FIXTURES if package is None else package.folder
  target = options.results / f'{name}.{numerics}.json'
  if target.exists() and not options.again:
    return
  print(f'{name}, {numerics}', file=sys.stderr, flush=True)
  try:
    cases = _fixtures(numerics) if package is None else compare_package(
      package, fetch(package, options.cache), options.cache, options.timeout, 'benchmarks.equivalence.surveyed',
      (numerics,))['cases']
  except CorpusError as error:
    print(f'{name}: {error}', file=sys.stderr)
    return
  document = {'package': name, 'numerics': numerics, 'cases': cases}
  # Written whole or not at all: what is there is not done again.
  partial = target.with_suffix('.partial')
  partial.write_text(json.dumps(document, indent=1), encoding='utf-8')
  partial.rename(target)


def _fixtures(numerics: str) -> list[dict[str, Any]]:
  import runpy

  from migrator.equivalence import Case

  with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    programs = sorted(item.parent.name for item in PROGRAMS.glob('*/cases.py'))
    manifest = migrated_sources(folder, programs, numerics)
    cases = [Case(**{**item, 'name': f'{name}: {item["name"]}'}) for name in programs
             for item in runpy.run_path(str(PROGRAMS / name / 'cases.py'))['CASES']]
    return list(rows(cases, manifest, folder / 'linen', folder / 'nnx'))


def _chosen(options: argparse.Namespace) -> list[Package | None]:
  packages = [package for package in read_table() if cases_file(package).is_file()]
  if options.package:
    packages = [package for package in packages if package.name in options.package]
  fixtures: list[Package | None] = [None] if options.fixtures or not options.package else []
  return fixtures if options.fixtures else [*packages, *fixtures]


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(prog='python -m benchmarks.equivalence.survey', description=__doc__)
  parser.add_argument('--numerics', action='append', choices=NUMERICS, help='only this one (may be repeated)')
  parser.add_argument('--package', action='append', metavar='NAME', help='only this one (may be repeated)')
  parser.add_argument('--fixtures', action='store_true', help='only the fixture programs')
  parser.add_argument('--results', type=Path, default=CACHE.parent / 'survey', metavar='DIR', help='where results are kept')
  parser.add_argument('--again', action='store_true', help='do anew what is there')
  parser.add_argument('--table', action='store_true', help='only print what is there')
  parser.add_argument('--cache', type=Path, default=CACHE, metavar='DIR', help='where the sources are kept')
  parser.add_argument('--timeout', type=float, default=1800, metavar='SECONDS', help='for one package')
  return parser.parse_args()


if __name__ == '__main__':
  sys.exit(main())
