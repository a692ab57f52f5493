"""One package in one process: migrate the models of its cases and compare both sides by computing.

Run as `python -m benchmarks.corpus.equivalence SOURCE CASES.toml FOLDER RESULT.json MODE`; the parent reads
RESULT.json.  `SOURCE` is the unpacked package, `FOLDER` gets the two roots `linen` and `nnx`.
"""
from __future__ import annotations

import json
import math
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.corpus.reduced import write_reduced
from migrator.equivalence import Case, CaseResult, run_checks
from migrator.equivalence.case_files import read_cases
from migrator.equivalence.verdicts import VARIABLES

STAYS_LINEN = 'stays Linen'


def compare(source: Path, cases_file: Path, folder: Path, mode: str = 'argument') -> dict[str, Any]:
  """Migrates and compares; returns plain JSON values."""
  from migrator.codemod import Options, migrate
  from migrator.codemod.write import write_files

  cases = read_cases(cases_file)
  linen, nnx = folder / 'linen', folder / 'nnx'
  absent = write_reduced(source, cases, linen, folder / 'stand-ins')
  shutil.copytree(linen, nnx)
  result = migrate([nnx], nnx, Options(mode=mode))
  write_files({change.path: change.after for change in result.files})
  (folder / 'manifest.json').write_text(result.manifest.to_json(), encoding='utf-8')
  reports = {report.name: report for report in result.classes}
  may_stay = tomllib.loads(cases_file.read_text(encoding='utf-8')).get('may_stay_linen', [])
  rows, run = [], []
  for case in cases:
    report = reports.get(case.model)
    if report is not None and report.outcome in ('bridged', 'left'):
      verdict = STAYS_LINEN if case.model in may_stay else 'error'
      rows.append(_row(case, verdict, detail=f'it stays Linen: {"; ".join(report.reasons)}'))
    else:
      run.append(case)
  checked = run_checks(run, result.manifest, linen, nnx) if run else None
  if checked is not None and checked.failure:
    rows += [_row(case, 'error', detail=checked.failure) for case in run]
  elif checked is not None:
    rows += [_result_row(case, found) for case, found in zip(run, checked.cases, strict=True)]
  versions = checked.versions if checked is not None else {}
  return {'cases': rows, 'stood_in_for': absent, 'versions': versions}


def _result_row(case: Case, found: CaseResult) -> dict[str, Any]:
  proofs = {proof.mode: proof.verdict.level for proof in found.proofs}
  return {**_numbers_row(case, found), 'proofs': proofs}


def _numbers_row(case: Case, found: CaseResult) -> dict[str, Any]:
  parts = {part.name: part.verdict for part in found.parts}
  bad = [f'{part.name}: {part.reason or part.verdict}' for part in found.parts
         if part.verdict in ('differs', 'error')]
  if found.failure or 'error' in parts.values():
    return _row(case, 'error', parts, detail=found.failure or '; '.join(bad))
  if 'differs' in parts.values():
    return _row(case, 'differs', parts, detail='; '.join(bad))
  unproved = [f'{proof.mode} by proof: {proof.reason}' for proof in found.proofs if proof.verdict.level == 'differs']
  if unproved:
    return _row(case, 'differs', parts, detail='; '.join(unproved))
  if found.exit_code:
    reasons = [f'{part.name}: {part.reason}' for part in found.parts if part.reason]
    return _row(case, 'error', parts, detail=f'nothing was compared: {"; ".join(reasons)}')
  needed = [part.needed for part in found.parts if part.passed and part.name != VARIABLES]
  largest = max((value for value in needed if value is not None and math.isfinite(value)), default=0.0)
  close = 'close' in parts.values()
  return _row(case, 'close' if close else 'bitwise', parts, largest if close else 0.0)


def _row(case: Case, verdict: str, parts: dict[str, str] | None = None, error: float = 0.0,
         detail: str = '') -> dict[str, Any]:
  return {'name': case.name, 'model': case.model, 'verdict': verdict, 'relative_error': error,
          'parts': parts or {}, 'detail': detail, 'proofs': {}}


if __name__ == '__main__':
  places = [Path(word) for word in sys.argv[1:5]]
  places[3].write_text(json.dumps(compare(*places[:3], *sys.argv[5:])), encoding='utf-8')
