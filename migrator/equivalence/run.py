"""Running cases: two workers, every part of every case, one report."""
from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from migrator.equivalence import training_steps
from migrator.equivalence.base import revision
from migrator.equivalence.cases import Case, check_unique
from migrator.equivalence.parts import CaseRun
from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.proof.case_proof import CaseProof
from migrator.equivalence.proof.recheck import Hashes
from migrator.equivalence.proof.verdict import ModeProof, Verdict
from migrator.equivalence.protocol import Message
from migrator.equivalence.verdicts import VARIABLES, CaseResult, CheckReport
from migrator.failure import Failure
from migrator.manifest import Manifest, ManifestError

TIMEOUT = 300.0
NO_NUMBERS = 'by shapes alone: no numbers were computed'


class Checker:
  """Compares cases between two source roots; a context manager that owns both worker processes.

  manifest: what the migration decided.  linen_root, nnx_root: folders that module names are
  relative to.  timeout: seconds one step of one side may take.  numbers: compute numbers beside the
  proofs; without them a model of any size is checked by its shapes alone.
  """

  def __init__(self, manifest: Manifest, linen_root: Path, nnx_root: Path, *, timeout: float = TIMEOUT,
               numbers: bool = True):
    for root in (linen_root, nnx_root):
      if not root.is_dir():
        raise Failure(f'{root}: no such folder')
    self._manifest, self._timeout, self._numbers = manifest, timeout, numbers
    self._roots = {'linen': linen_root.resolve(), 'nnx': nnx_root.resolve()}
    self._workers: dict[str, WorkerProcess] = {}
    self._programs: dict[str, Hashes] = {}

  def __enter__(self) -> Checker:
    return self

  def __exit__(self, *error: object) -> None:
    for worker in self._workers.values():
      worker.close()
    self._workers.clear()

  def versions(self) -> dict[str, dict[str, str]]:
    """Returns the versions of Python, jax and flax of both sides.

    Raises:
      Failure: a worker cannot start.
    """
    try:
      workers = [self._worker(side) for side in self._roots]
      for worker in workers:
        worker.post(Message({'do': 'versions'}))
      return {worker.side: worker.wait(self._timeout).body for worker in workers}
    except WorkerError as error:
      raise Failure(f'{error}\n{error.trace}'.strip()) from error

  def check(self, case: Case, numbers: bool | None = None) -> CaseResult:
    """Compares one case; never raises for what user code does.  numbers: compute numbers, if not as usual."""
    refused = self.refused(case)
    if refused is not None:
      return refused
    try:
      workers = self._worker('linen'), self._worker('nnx')
      proof = CaseProof(case, self._manifest, *workers, self._timeout)
      proofs = proof.proofs()
      self._programs[case.name] = proof.hashes()
      if not (self._numbers if numbers is None else numbers):
        return CaseResult(case.name, case.model, notes=(NO_NUMBERS,), proofs=proofs, modules=proof.modules())
      result = CaseRun(case, self._manifest, *workers, self._timeout, *training_steps.asked(proofs)).result()
      return dataclasses.replace(result, proofs=_reconciled(proofs, result), modules=proof.modules())
    except WorkerError as error:
      return _failed(case, f'{error}\n{error.trace}'.strip())
    finally:
      self._drop_dead()

  def programs(self, case: Case) -> Hashes:
    """Returns the hash of every program traced for a case that was checked."""
    return self._programs.get(case.name, ())

  def refused(self, case: Case) -> CaseResult | None:
    """Returns why a case cannot be checked at all; None when it can."""
    entry = self._manifest.classes.get(case.model)
    if entry is None:
      known = ', '.join(sorted(self._manifest.classes)) or 'none'
      return _failed(case, f'{case.model} is not in the manifest (it has: {known}); migrate the file that '
                           'defines it, or correct model in the case')
    if entry.outcome != 'native':
      return _failed(case, f'{case.model} was not migrated (it is {entry.outcome}), so there is no NNX model')
    return None

  def forget(self, side: str) -> None:
    """Lets a side import its source anew, after the source was changed."""
    try:
      self._worker(side).ask(Message({'do': 'forget'}), self._timeout)
    except WorkerError:
      self.__exit__()

  def _worker(self, side: str) -> WorkerProcess:
    if side not in self._workers:
      self._workers[side] = WorkerProcess(side, self._roots[side])
    return self._workers[side]

  def _drop_dead(self) -> None:
    """If a worker ended, both start again for the next case: the other may still owe an answer."""
    if not all(worker.alive for worker in self._workers.values()):
      self.__exit__()


class Watcher:
  """Told about a run while it goes on; does nothing by itself."""

  def roots(self, linen: Path, nnx: Path) -> None:
    """The folders of both sources; the Linen one may be gone when the run ends."""

  def begins(self, case: Case) -> None:
    """A case begins."""

  def ends(self, result: CaseResult) -> None:
    """A case has ended."""


def run_checks(cases: Sequence[Case], manifest: Manifest | Path, linen_root: Path | None, nnx_root: Path,
               *, base: str | None = None, report_json: Path | None = None, timeout: float = TIMEOUT,
               watcher: Watcher | None = None, certificate: Path | None = None,
               numbers: bool = True) -> CheckReport:
  """Compares all cases and returns the report; its `exit_code` is 0 equal, 1 differences, 2 failures.

  Args:
    cases: what to compare.
    manifest: what the migration decided, or its file.
    linen_root: folder with the Linen source; None with `base`.
    nnx_root: folder with the NNX source.
    base: git revision of the repository of `nnx_root` that holds the Linen source.
    report_json: file to write the report to.
    timeout: seconds one step of one side may take.
    watcher: told about the run while it goes on.
    numbers: compute numbers beside the proofs.
    certificate: read, if it exists: cases it holds whose programs hash as it says are not compared again.
      Then written, with the cases that passed.
  """
  report = _report(cases, manifest, linen_root, nnx_root, base, timeout, watcher or Watcher(), certificate,
                   numbers)
  if report_json is not None:
    report_json.write_text(report.to_json(), encoding='utf-8')
  return report


def _report(cases: Sequence[Case], manifest: Manifest | Path, linen_root: Path | None, nnx_root: Path,
            base: str | None, timeout: float, watcher: Watcher, certificate: Path | None,
            numbers: bool) -> CheckReport:
  try:
    if not cases:
      raise Failure('there are no cases to check; write one under [[tool.linen2nnx.cases]]')
    if (linen_root is None) == (base is None):
      raise Failure('give the folder of the Linen source or the git revision that holds it, one of the two')
    known = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    source = contextlib.nullcontext(linen_root) if base is None else revision(nnx_root, base)
    with source as linen, _checker(known, linen or nnx_root, nnx_root, certificate, timeout, numbers) as checker:
      watcher.roots(linen or nnx_root, nnx_root)
      versions = checker.versions()
      results = tuple(_watched(checker, case, watcher) for case in check_unique(list(cases)))
      if certificate is not None:
        certificate.write_text(checker.certificate().to_json(), encoding='utf-8')
      return CheckReport(results, versions)
  except Failure as error:
    return CheckReport(failure=str(error))


def _checker(manifest: Manifest, linen_root: Path, nnx_root: Path, certificate: Path | None, timeout: float,
             numbers: bool) -> Any:
  if certificate is None:
    return Checker(manifest, linen_root, nnx_root, timeout=timeout, numbers=numbers)
  from migrator.equivalence.certified import CertifiedChecker
  return CertifiedChecker(manifest, linen_root, nnx_root, certificate, timeout=timeout, numbers=numbers)


def _watched(checker: Checker, case: Case, watcher: Watcher) -> CaseResult:
  watcher.begins(case)
  result = checker.check(case)
  watcher.ends(result)
  return result


def read_manifest(file: Path) -> Manifest:
  """Reads a manifest.

  Raises:
    Failure: it cannot be read.
  """
  try:
    return Manifest.from_json(file.read_text(encoding='utf-8'))
  except (OSError, UnicodeDecodeError) as error:
    raise Failure(f'{file}: cannot be read ({error}); write it with `linen2nnx migrate`') from error
  except ManifestError as error:
    raise Failure(f'{file}: {error}') from error


def _failed(case: Case, why: str) -> CaseResult:
  return CaseResult(case.name, case.model, failure=why)


def _reconciled(proofs: tuple[ModeProof, ...], result: CaseResult) -> tuple[ModeProof, ...]:
  """Variables that were loaded after all (those a Linen module behind a face makes) are not proved, not wrong."""
  loaded = any(part.name == VARIABLES and part.passed for part in result.parts)
  if not (loaded and proofs and proofs[0].verdict is Verdict.DIFFERS and proofs[0].mode == 'weights'):
    return proofs
  return (dataclasses.replace(proofs[0], verdict=Verdict.NOT_PROVED), *proofs[1:])
