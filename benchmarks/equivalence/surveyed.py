"""What the prover says of some cases: proofs first, numbers where a proof is missing; plain rows.

As a program, for one corpus package in a process of its own:
`python -m benchmarks.equivalence.surveyed SOURCE CASES.toml FOLDER RESULT.json NUMERICS`.
"""
from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from migrator.equivalence import Case, CaseResult, Checker
from migrator.manifest import Manifest

# A proof of these lower than the same real function asks for numbers.
COMPUTED = ('eval', 'eval state', 'train', 'train state', 'gradient', 'step')
LONGEST = 300


def rows(cases: Sequence[Case], manifest: Manifest, linen: Path, nnx: Path) -> Iterator[dict[str, Any]]:
  """Yields a row for every case: levels by mode, reasons of those not proved, the verdict of the numbers."""
  with Checker(manifest, linen, nnx, numbers=False) as proofs, Checker(manifest, linen, nnx) as numbers:
    for case in cases:
      refused = proofs.refused(case)
      result = refused or proofs.check(case)
      row = _row(case, result, bool(refused))
      if refused is None and not _is_proved(result):
        row['numbers'], row['parts'] = _numbers(numbers.check(case))
      yield row


def _is_proved(result: CaseResult) -> bool:
  computed = [proof for proof in result.proofs if proof.mode in COMPUTED]
  return not result.failure and bool(computed) and all(proof.verdict.is_equal for proof in computed)


def _row(case: Case, result: CaseResult, refused: bool) -> dict[str, Any]:
  reasons = {proof.mode: proof.reason[:LONGEST] for proof in result.proofs if proof.reason}
  modules = [f'{proof.mode}: {module.linen or "(root)"} {module.verdict}: {module.cause}'[:LONGEST]
             for proof in result.proofs for module in proof.modules if proof.mode in ('eval', 'gradient')]
  return {'name': case.name, 'model': case.model, 'refused': refused, 'failure': result.failure[:LONGEST],
          'levels': {proof.mode: proof.verdict.level for proof in result.proofs}, 'reasons': reasons, 'modules': modules[:8]}


def _numbers(result: CaseResult) -> tuple[str, dict[str, str]]:
  parts = {part.name: f'{part.verdict} {part.reason}'.strip()[:LONGEST] for part in result.parts}
  if result.failure:
    return 'failed', {'failure': result.failure[:LONGEST]}
  verdicts = {part.verdict for part in result.parts}
  worst = next((word for word in ('error', 'differs', 'close', 'bitwise') if word in verdicts), 'nothing compared')
  return worst, parts


def survey(source: Path, cases_file: Path, folder: Path, numerics: str) -> dict[str, Any]:
  """Migrates the models of a package's cases and returns the rows."""
  from benchmarks.corpus.reduced import write_reduced
  from migrator.codemod import Options, migrate
  from migrator.codemod.write import write_files
  from migrator.equivalence.case_files import read_cases

  cases = read_cases(cases_file)
  linen, nnx = folder / 'linen', folder / 'nnx'
  write_reduced(source, cases, linen, folder / 'stand-ins')
  shutil.copytree(linen, nnx)
  result = migrate([nnx], nnx, Options(numerics=numerics))
  write_files({change.path: change.after for change in result.files})
  reasons = {report.name: '; '.join(report.reasons) for report in result.classes}
  found = list(rows(cases, result.manifest, linen, nnx))
  for row in found:
    if row['refused']:
      row['failure'] = f'it stays Linen: {reasons.get(row["model"], row["failure"])}'[:LONGEST]
  return {'cases': found}


if __name__ == '__main__':
  source_, cases_, folder_, result_ = map(Path, sys.argv[1:5])
  result_.write_text(json.dumps(survey(source_, cases_, folder_, sys.argv[5])), encoding='utf-8')
