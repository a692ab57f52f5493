"""`python -m benchmarks.corpus`: migrate copies of pinned public packages and print what came of it.

With --equivalence, classes of them are built and called on both sides and the numbers compared.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.corpus import equivalence_table
from benchmarks.corpus.compare_package import cases_file, compare_package, fetch_library
from benchmarks.corpus.imports import no_longer_import
from benchmarks.corpus.packages import CACHE, CorpusError, Package, copy_sources, fetch, read_table
from benchmarks.corpus.table import faults, markdown

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
  """Runs the chosen packages; returns 0, or 1 when something broke."""
  options = _arguments()
  packages = read_table()
  if options.package:
    chosen = [package for package in packages if package.name in options.package]
    missing = sorted(set(options.package) - {package.name for package in chosen})
    if missing:
      known = ', '.join(package.name for package in packages)
      print(f'unknown package {", ".join(missing)}; known: {known}', file=sys.stderr)
      return 2
    packages = chosen
  rows = []
  for package in packages:
    print(f'{package.folder} ...', file=sys.stderr, flush=True)
    rows.append({'package': package.folder} if options.equivalence_only else run(package, options))
  if options.fetch_only:
    return int(any('failure' in row for row in rows))
  comparing = options.equivalence or options.equivalence_only
  for package, row in zip(packages, rows, strict=True):
    if comparing and cases_file(package).exists():
      print(f'{package.folder}: both sides ...', file=sys.stderr, flush=True)
      row |= compare(package, options)
  if options.json:
    document = {'format': 'linen2nnx-corpus', 'version': 1, 'packages': rows}
    options.json.write_text(json.dumps(document, indent=2) + '\n', encoding='utf-8')
  broken = [] if options.equivalence_only else [fault for row in rows for fault in faults(row)]
  if not options.equivalence_only:
    print(markdown(rows), end='')
  if comparing:
    complete = not options.package
    print('\n' + equivalence_table.markdown(rows, complete), end='')
    broken += equivalence_table.faults(rows, complete)
  return int(bool(broken))


def run(package: Package, options: argparse.Namespace) -> dict[str, Any]:
  """Returns one row: what the probe saw, or why there is none."""
  row: dict[str, Any] = {'package': package.folder}
  try:
    source = fetch(package, options.cache)
    return row if options.fetch_only else row | _measure(package, source, options)
  except CorpusError as error:
    return row | {'failure': str(error)}


def compare(package: Package, options: argparse.Namespace) -> dict[str, Any]:
  """Returns what the cases of a package showed, or why there is nothing, as entries of its row."""
  try:
    source = fetch(package, options.cache)
    return {'equivalence': compare_package(package, source, options.cache, options.timeout, words=[options.mode])}
  except CorpusError as error:
    return {'equivalence_failure': str(error)}


def _measure(package: Package, source: Path, options: argparse.Namespace) -> dict[str, Any]:
  with tempfile.TemporaryDirectory(prefix='linen2nnx-corpus-') as name:
    copy = options.keep / package.folder if options.keep else Path(name) / 'copy'
    if copy.exists():
      raise CorpusError(f'{copy} exists; give --keep a new folder')
    copy_sources(source, copy)
    seen = _probe(package, copy, Path(name) / 'result.json', options)
    if options.imports:
      libraries = [fetch_library(requirement, options.cache / 'libraries') for requirement in package.needs]
      errors, count = no_longer_import(source, copy, seen['written'], libraries)
      seen['no_longer_import'], seen['imported_before'] = errors, count
  return seen


def _probe(package: Package, copy: Path, result: Path, options: argparse.Namespace) -> dict[str, Any]:
  timeout = options.timeout
  command = [sys.executable, '-m', 'benchmarks.corpus.probe', str(copy), str(result), options.mode]
  try:
    done = subprocess.run([*command, *['only-linen'] * package.only_linen], cwd=ROOT, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, check=False)
  except subprocess.TimeoutExpired as error:
    raise CorpusError(f'the run did not end within {timeout:.0f} s') from error
  if done.returncode != 0:
    sys.stderr.write(done.stderr)
    raise CorpusError(f'the run failed: {(done.stderr.strip().splitlines() or ["no message"])[-1]}')
  seen: dict[str, Any] = json.loads(result.read_text(encoding='utf-8'))
  return seen


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(prog='python -m benchmarks.corpus', description=__doc__)
  parser.add_argument('--package', action='append', metavar='NAME', help='only this one (may be repeated)')
  parser.add_argument('--json', type=Path, metavar='FILE', help='write all numbers as JSON')
  parser.add_argument('--imports', action='store_true', help='import the migrated modules; libraries that are '
                      'not installed are stood in for (this runs code of the packages)')
  parser.add_argument('--equivalence', action='store_true', help='compare the classes of cases/ on both '
                      'sides (this runs code of the packages)')
  parser.add_argument('--equivalence-only', action='store_true', help='only compare the classes of cases/')
  parser.add_argument('--keep', type=Path, metavar='DIR', help='keep the migrated copies in DIR')
  parser.add_argument('--cache', type=Path, default=CACHE, metavar='DIR', help='where the sources are kept')
  parser.add_argument('--fetch-only', action='store_true', help='download and unpack, nothing else')
  parser.add_argument('--mode', choices=('argument', 'module'), default='argument', help='how train flags are written')
  parser.add_argument('--timeout', type=float, default=900, metavar='SECONDS', help='for one package')
  return parser.parse_args()


if __name__ == '__main__':
  sys.exit(main())
