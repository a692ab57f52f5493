"""The certificate: what was checked, with which versions, what was found, and hashes of both programs.

While both programs hash to what the certificate says, its verdicts hold, and nothing needs to be compared
again.  Comments, names and lines do not change a program's hash; anything that is computed does.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator import __version__
from migrator.equivalence.cases import Case
from migrator.equivalence.proof import ModeProof, ModuleVerdict, OutputVerdict, Verdict
from migrator.equivalence.proof.recheck import Hashes
from migrator.equivalence.verdicts import CaseResult, LeafResult, PartResult, case_document, finite
from migrator.failure import Failure

FORMAT, VERSION = 'linen2nnx-certificate', 1
SCHEMA = Path(__file__).with_name('certificate.schema.json')


@dataclasses.dataclass(frozen=True)
class Entry:
  """One case that passed.  case: its table.  programs: hash of every program traced.  result: as the report has it."""

  case: dict[str, Any]
  programs: Hashes
  result: dict[str, Any]

  def case_result(self, note: str) -> CaseResult:
    """Returns the recorded result with a note."""
    document = self.result
    return CaseResult(document['name'], document['model'], tuple(map(_part, document['parts'])),
                      notes=(*document['notes'], note), proofs=tuple(map(_proof, document['proofs'])),
                      modules=tuple((linen, nnx) for linen, nnx in document['modules']))


@dataclasses.dataclass(frozen=True)
class Certificate:
  """All cases that passed, with the versions of tool, Python, flax and jax of both sides."""

  versions: dict[str, dict[str, str]]
  entries: dict[str, Entry]
  tool: str = __version__

  def to_json(self) -> str:
    """Returns the JSON text as `certificate.schema.json` describes it; no paths of the machine in it."""
    cases = {name: {'case': entry.case, 'programs': [{**dict(key), 'hash': found} for key, found in entry.programs],
                    'result': entry.result} for name, entry in sorted(self.entries.items())}
    document = {'format': FORMAT, 'version': VERSION, 'tool': self.tool, 'versions': self.versions, 'cases': cases}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + '\n'


def read(file: Path) -> Certificate | None:
  """Returns the certificate of a file; None when there is no file yet.

  Raises:
    Failure: the file holds something else.
  """
  if not file.exists():
    return None
  try:
    document = json.loads(file.read_text(encoding='utf-8'))
    if (document['format'], document['version']) != (FORMAT, VERSION):
      raise ValueError(f'format {document["format"]} version {document["version"]}')
    entries = {name: _entry(table) for name, table in document['cases'].items()}
    return Certificate(document['versions'], entries, document['tool'])
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise Failure(f'{file}: no certificate of this version ({type(error).__name__}: {error}); '
                  'remove the file, then run again') from error


def _entry(table: Mapping[str, Any]) -> Entry:
  programs = [(tuple((name, text) for name, text in row.items() if name != 'hash'), row['hash'])
              for row in table['programs']]
  return Entry(table['case'], tuple(programs), table['result'])


def entry_of(case: Case, result: CaseResult, programs: Hashes) -> Entry | None:
  """Returns the entry of a case that passed; None also when a mode could not be traced: no hash would show its change."""
  kinds = {dict(key)['kind'] for key, _ in programs}
  untraced = [proof.mode for proof in result.proofs if proof.verdict is Verdict.NOT_PROVED and not proof.linen_hash
              and not (proof.mode == 'keys' and 'audit' in kinds)]
  if result.exit_code or not programs or untraced:
    return None
  return Entry(case.to_json(), programs, finite(case_document(result)))


def why_not(certificate: Certificate, case: Case, versions: Mapping[str, Mapping[str, str]]) -> str:
  """Returns why the certificate says nothing of a case, whatever the programs are; '' when it does."""
  entry = certificate.entries.get(case.name)
  if entry is None:
    return 'the certificate does not have this case'
  if entry.case != case.to_json():
    changed = [name for name, value in case.to_json().items() if entry.case.get(name) != value]
    return f'the case changed since the certificate: {", ".join(changed)}'
  now = {'tool': {'linen2nnx': __version__}, **versions}
  then = {'tool': {'linen2nnx': certificate.tool}, **certificate.versions}
  moved = [f'{name} {then.get(side, {}).get(name, "none")} -> {version} ({side})'
           for side, found in now.items() for name, version in found.items()
           if then.get(side, {}).get(name) != version]
  return f'other versions than the certificate: {", ".join(moved)}' if moved else ''


def _part(table: Mapping[str, Any]) -> PartResult:
  leaves = tuple(LeafResult(**{**leaf, 'where': tuple(leaf['where'])}) for leaf in table['worst'])
  return PartResult(**{**table, 'worst': leaves, 'notes': tuple(table['notes'])})


def _proof(table: Mapping[str, Any]) -> ModeProof:
  lower = tuple(OutputVerdict(**{**row, 'verdict': Verdict(row['verdict'])}) for row in table['lower'])
  modules = tuple(ModuleVerdict(**{**row, 'verdict': Verdict(row['verdict'])}) for row in table['modules'])
  return ModeProof(**{**table, 'verdict': Verdict(table['verdict']), 'lower': lower, 'modules': modules,
                      'assumptions': tuple(table['assumptions'])})
