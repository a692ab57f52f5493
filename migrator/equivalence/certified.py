"""Checking with a certificate: what is unchanged is traced and hashed only, what passes is certified."""
from __future__ import annotations

import dataclasses
from pathlib import Path

from migrator.equivalence.cases import Case
from migrator.equivalence.certificate import Certificate, Entry, entry_of, read, why_not
from migrator.equivalence.process import WorkerError
from migrator.equivalence.proof.recheck import Hashes, Recheck
from migrator.equivalence.run import TIMEOUT, Checker
from migrator.equivalence.verdicts import CaseResult
from migrator.manifest import Manifest

UNCHANGED = 'unchanged since the certificate: both programs were traced and hashed, nothing else was run'


class CertifiedChecker(Checker):
  """A checker that knows a certificate.

  file: the certificate; it need not exist yet.

  Raises:
    Failure: the file holds something else.
  """

  def __init__(self, manifest: Manifest, linen_root: Path, nnx_root: Path, file: Path, *, timeout: float = TIMEOUT,
               numbers: bool = True):
    super().__init__(manifest, linen_root, nnx_root, timeout=timeout, numbers=numbers)
    self._known = read(file)
    self._entries: dict[str, Entry] = {}
    self._seen: set[str] = set()

  def check(self, case: Case, numbers: bool | None = None) -> CaseResult:
    """Returns the certified result if nothing changed; else checks the case and says what changed."""
    self._seen.add(case.name)
    reasons = self._reasons(case)
    if not reasons and self._known is not None:
      self._entries[case.name] = self._known.entries[case.name]
      return self._entries[case.name].case_result(UNCHANGED)
    result = super().check(case, numbers)
    entry = entry_of(case, result, self.programs(case))
    if entry is not None:
      self._entries[case.name] = entry
    if self._known is None:
      return result
    return dataclasses.replace(result, notes=(*result.notes, *(f'checked again: {why}' for why in reasons)))

  def certificate(self) -> Certificate:
    """Returns the certificate of what passed; cases of the old one that were not run stay if versions are equal."""
    versions = self.versions()
    kept = {} if self._known is None else {
      name: entry for name, entry in self._known.entries.items()
      if name not in self._seen and self._known.versions == versions}
    return Certificate(versions, {**kept, **self._entries})

  def _reasons(self, case: Case) -> list[str]:
    if self._known is None:
      return ['there is no certificate yet']
    why = why_not(self._known, case, self.versions())
    if why or self.refused(case) is not None:
      return [why or 'the model can no longer be checked']
    return self._changes(case, self._known.entries[case.name].programs)

  def _changes(self, case: Case, programs: Hashes) -> list[str]:
    try:
      workers = self._worker('linen'), self._worker('nnx')
      return Recheck(case, self._manifest, *workers, self._timeout).changes(programs)
    except WorkerError as error:
      return [f'it can no longer be traced: {error}']
    finally:
      self._drop_dead()
