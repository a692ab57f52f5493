"""The report of a check as lines of text: proofs first, then the numbers."""
from __future__ import annotations

from collections.abc import Iterator

from migrator.report.check.document import Table, count, module_line, modules_that_differ

WORST_SHOWN = 5


def report_lines(document: Table) -> Iterator[str]:
  """Yields all cases, and the summary."""
  for case in document['cases']:
    yield from case_lines(case)
    yield ''
  yield summary(document)


def summary(document: Table) -> str:
  """Returns '2 of 3 cases equal.  linen: python 3.11.7, ...'."""
  equal = sum(case['exit_code'] == 0 for case in document['cases'])
  versions = '; '.join(f'{side}: ' + ', '.join(f'{name} {version}' for name, version in found.items())
                       for side, found in document['versions'].items())
  return f'{equal} of {len(document["cases"])} cases equal.  {versions}'.rstrip()


def case_lines(case: Table) -> Iterator[str]:
  """Yields what was found for one case."""
  yield f'{case["name"]}  ({case["model"]})'
  if case['failure']:
    yield from (f'  {line}' for line in f'failed: {case["failure"]}'.splitlines())
  for proof in case['proofs']:
    yield f'  {proof["verdict"]:<26}  {proof["mode"]:<26}  {_claim(proof)}'.rstrip()
  for module, modes in modules_that_differ(case):
    yield f'      {module_line(module)}  [{", ".join(modes)}]'
  for part in case['parts']:
    yield from _part(part)
  for words in _assumptions(case):
    yield f'  taken for granted: {words}'
  for note in case['notes']:
    yield f'  note: {note}'


def _claim(proof: Table) -> str:
  if proof['reason']:
    return ' '.join(proof['reason'].split())
  return ', '.join(filter(None, (count(proof['outputs'], 'array'), proof['shapes'])))


def _assumptions(case: Table) -> list[str]:
  return list(dict.fromkeys(words for proof in case['proofs'] for words in proof['assumptions']))


def _part(part: Table) -> Iterator[str]:
  yield f'  {part["verdict"]:<26}  {part["name"]:<26}  {measure(part)}'.rstrip()
  worst = part['worst']
  for leaf in worst[:WORST_SHOWN]:
    yield f'      {leaf["path"]}: {leaf["kind"]}: {leaf["detail"]}'.rstrip(': ')
  if len(worst) > WORST_SHOWN:
    yield f'      and {len(worst) - WORST_SHOWN} more (all of them with --json FILE)'
  for note in part['notes']:
    yield f'      note: {note}'


def measure(part: Table) -> str:
  """Returns how equal the numbers of a part are."""
  if part['reason']:
    return ' '.join(part['reason'].split())
  counted = count(part['leaves'], 'array')
  if part['verdict'] == 'bitwise':
    return counted
  needed = 'no tolerance would pass' if part['needed'] is None else f'passes from tolerance {part["needed"]:.1e}'
  return f'{counted}, largest difference {part["max_abs"] or 0:.3g} ({part["max_ulp"]} ulp), {needed}'
