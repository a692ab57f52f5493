"""The compared classes as a markdown table, and whether they are as they must be."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LEAST_CLASSES = 25
LEAST_PACKAGES = 6
EQUAL = ('bitwise', 'close')
FAILED = ('differs', 'error')
VERDICTS = ('bitwise', 'close', 'differs', 'error', 'stays Linen')


def faults(rows: Sequence[Mapping[str, Any]], complete: bool) -> list[str]:
  """Returns what must not be: cases that differ or fail; too few classes if all packages were compared."""
  found = [f'{row["package"]}: {row["equivalence_failure"]}' for row in rows if 'equivalence_failure' in row]
  found += [f'{case["name"]}: {case["verdict"]}: {case["detail"]}' for _, case in _cases(rows)
            if case['verdict'] in FAILED]
  classes, packages = equal_classes(rows)
  if complete and (classes < LEAST_CLASSES or packages < LEAST_PACKAGES):
    found.append(f'{classes} classes of {packages} packages are equal; there must be {LEAST_CLASSES} of '
                 f'{LEAST_PACKAGES}')
  return found


def equal_classes(rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
  """Returns (classes whose cases are all equal, packages that have such a class)."""
  verdicts: dict[tuple[str, str], list[str]] = {}
  for package, case in _cases(rows):
    verdicts.setdefault((package, case['model']), []).append(case['verdict'])
  equal = [key for key, found in verdicts.items() if all(verdict in EQUAL for verdict in found)]
  return len(equal), len({package for package, _ in equal})


def markdown(rows: Sequence[Mapping[str, Any]], complete: bool) -> str:
  """Returns one line per case, the sums, and the faults."""
  lines = ['| package | class | verdict | largest relative error | parts |',
           '| --- | --- | --- | --- | --- |']
  lines += [_line(package, case) for package, case in _cases(rows)]
  counts = {verdict: sum(case['verdict'] == verdict for _, case in _cases(rows)) for verdict in VERDICTS}
  classes, packages = equal_classes(rows)
  summary = ', '.join(f'{count} {verdict}' for verdict, count in counts.items() if count)
  lines += ['', f'{classes} classes of {packages} packages compute the same ({summary or "no cases"}).']
  stood_in = {row['package']: row['equivalence']['stood_in_for'] for row in rows if 'equivalence' in row}
  lines += [f'{package}: not installed and not needed by these models: {", ".join(names)}'
            for package, names in stood_in.items() if names]
  found = faults(rows, complete)
  return '\n'.join([*lines, *(['', 'Faults:', *(f'- {fault}' for fault in found)] if found else [])]) + '\n'


def _cases(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
  return [(row['package'], case) for row in rows for case in row.get('equivalence', {}).get('cases', ())]


def _line(package: str, case: Mapping[str, Any]) -> str:
  compared = [name for name, verdict in case['parts'].items() if verdict in EQUAL]
  error = f'{case["relative_error"]:.1e}' if case['verdict'] == 'close' else ''
  return (f'| {package} | {case["model"].partition(":")[2]} ({case["name"]}) | {case["verdict"]} | {error} | '
          f'{", ".join(compared)} |')
