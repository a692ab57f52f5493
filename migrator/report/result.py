"""What the reports need of a migration's result, and the verdict on it."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from migrator.report.findings import ClassReport, Finding

OUTCOMES = ('native', 'helper', 'bridged', 'left')
LEVELS = ('error', 'warning', 'note')


class Change(Protocol):
  """One file with its text before ('' when new) and after."""

  @property
  def path(self) -> Path: ...
  @property
  def before(self) -> str: ...
  @property
  def after(self) -> str: ...


class Result(Protocol):
  """The part of a migration's result that is reported."""

  @property
  def files(self) -> Sequence[Change]: ...
  @property
  def classes(self) -> Sequence[ClassReport]: ...
  @property
  def findings(self) -> Sequence[Finding]: ...
  @property
  def errors(self) -> Sequence[Finding]: ...


def all_findings(result: Result) -> list[Finding]:
  """Returns errors and findings in a stable order, each once, with one line for every class that is
  still Linen and that no finding speaks of; what the user does not want to see is left out."""
  hidden: frozenset[str] = getattr(result, 'hidden', frozenset())
  found = {*result.findings, *_unspoken(result)}
  return sorted({*result.errors, *(finding for finding in found if finding.code not in hidden)})


def _unspoken(result: Result) -> Iterator[Finding]:
  places = {(finding.file, finding.line) for finding in result.findings}
  for report in result.classes:
    if report.outcome in ('bridged', 'left') and (report.file, report.line) not in places:
      reason = '; '.join(report.reasons) or 'no reason was recorded'
      message = f'{report.name} stays Linen: {reason}'
      yield Finding(report.file, report.line, f'{report.outcome}-class', message)


def count_outcomes(classes: Sequence[ClassReport]) -> dict[str, int]:
  """Returns how many classes had each outcome, every outcome listed."""
  counts = Counter(report.outcome for report in classes)
  return {outcome: counts[outcome] for outcome in OUTCOMES}  # type: ignore[index]


def count_levels(findings: Sequence[Finding]) -> dict[str, int]:
  """Returns how many findings have each level, every level listed."""
  counts = Counter(finding.level for finding in findings)
  return {level: counts[level] for level in LEVELS}  # type: ignore[index]


def exit_code(result: Result) -> int:
  """Returns 2 when a file could not be read, 1 when something needs a look, else 0.

  Notes (assumptions that were taken) need no look.
  """
  if result.errors:
    return 2
  needs_a_look = any(finding.level != 'note' for finding in all_findings(result))
  return 1 if needs_a_look else 0
