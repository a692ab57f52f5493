"""What a migration would make of a repository: per file and class, with what would be left to do by hand."""
from __future__ import annotations

import dataclasses
import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from migrator.manifest import Manifest, Member
from migrator.report.findings import ClassReport, Finding
from migrator.report.result import Result, all_findings, count_outcomes, exit_code

FORMAT, VERSION = 'linen2nnx-plan', 1
# Worst first.
DIFFICULTIES = {
  'unreadable': 'cannot be read as it is',
  'by hand': 'something stays Linen; what it takes is in the reasons',
  'review': 'runs as it is written; call sites or assumptions need a look',
  'automatic': 'nothing to do',
}
_HELPER = 'uses the helper '
_PLACES = (
  (re.compile(r' ?\((?:[\w./-]+\.py, )?lines? \d+\)'), ''),
  (re.compile(r'[\w./-]+\.py:\d+'), 'FILE'),
  (re.compile(r'\b[A-Za-z_][\w.]*:[A-Za-z_][\w.#<>]*'), 'CLASS'),
  (re.compile(r'its subclass \S+'), 'its subclass CLASS'),
  (re.compile(r'\bline \d+'), 'line N'),
)


@dataclasses.dataclass(frozen=True)
class FilePlan:
  """What would become of one file.

  classes: its Linen classes; call_sites: places that would use an NNX class as a Linen one;
  linen: other places that stay Linen; assumptions: what would be taken for granted.
  """

  path: str
  classes: tuple[ClassReport, ...]
  call_sites: tuple[Finding, ...]
  linen: tuple[Finding, ...]
  assumptions: tuple[Finding, ...]
  errors: tuple[Finding, ...] = ()

  @property
  def difficulty(self) -> str:
    if self.errors:
      return 'unreadable'
    if self.linen or any(report.outcome in ('bridged', 'left') for report in self.classes):
      return 'by hand'
    return 'review' if self.call_sites or self.assumptions else 'automatic'


@dataclasses.dataclass(frozen=True)
class Size:
  """A size that whoever makes a model has to give, since only its input has it."""

  model: str
  argument: str
  origin: str


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a migration would do.

  reasons: why classes would stay Linen, most frequent first, without names and lines: (reason, classes).
  helpers: classes and functions of the helper file that would be needed: (name, classes).
  sizes: of the models that no other migrated class makes.
  """

  files: tuple[FilePlan, ...]
  reasons: tuple[tuple[str, tuple[str, ...]], ...]
  helpers: tuple[tuple[str, tuple[str, ...]], ...]
  sizes: tuple[Size, ...]
  exit_code: int

  @property
  def classes(self) -> list[ClassReport]:
    return [report for file in self.files for report in file.classes]

  @property
  def call_sites(self) -> list[Finding]:
    return [finding for file in self.files for finding in file.call_sites]


def plan_of(result: Result, manifest: Manifest, prefix: str = '') -> Plan:
  """Returns the plan that the result of a migration, not written, amounts to; `prefix` leads to its source root."""
  files = _files(result, prefix)
  stay = [report for report in result.classes if report.outcome in ('bridged', 'left')]
  reasons = _grouped((general(reason), report.name) for report in stay for reason in report.reasons)
  helpers = _grouped((reason.removeprefix(_HELPER), report.name) for report in result.classes
                     for reason in report.reasons if reason.startswith(_HELPER))
  inner = {name for entry in manifest.classes.values() if entry.outcome in ('native', 'helper')
           for name in _made(entry.members)}
  sizes = tuple(Size(report.name, argument, origin) for report in sorted(result.classes, key=lambda item: item.name)
                if report.outcome in ('native', 'helper') and report.name not in inner
                for argument, origin in report.sizes.items() if _is_argument(manifest, report.name, argument))
  return Plan(files, reasons, helpers, sizes, exit_code(result))


def _is_argument(manifest: Manifest, name: str, argument: str) -> bool:
  entry = manifest.classes.get(name)
  return entry is not None and any(item.name == argument for item in entry.arguments)


def _made(members: Iterable[Member]) -> Iterable[str]:
  """Yields the names of the classes that a construction program makes."""
  for member in members:
    yield from [name] if (name := getattr(member, 'cls', None)) else []
    for body in (getattr(member, 'body', ()), *getattr(member, 'bodies', ())):
      yield from _made(body)


def _files(result: Result, prefix: str) -> tuple[FilePlan, ...]:
  findings = all_findings(result)
  stay = {(report.file, report.line) for report in result.classes if report.outcome in ('bridged', 'left')}
  # The helper file is written by the run itself.
  new = {change.path.name for change in result.files if not change.before}
  paths = sorted({report.file for report in result.classes} | {finding.file for finding in findings})

  def found(path: str, *codes: str) -> tuple[Finding, ...]:
    return tuple(item for item in findings if item.file == path and item.code in codes
                 and (item.file, item.line) not in stay and item not in result.errors)

  files = (FilePlan(
    posixpath.normpath(prefix + path),
    tuple(sorted((report for report in result.classes if report.file == path), key=lambda report: report.line)),
    found(path, 'bridged-call-site'), found(path, 'stays-linen', 'linen-name', 'unknown-base'), found(path, 'assumption'),
    tuple(item for item in result.errors if item.file == path))
    for path in paths if path.rpartition('/')[2] not in new)
  return tuple(file for file in files if file.classes or file.call_sites or file.linen or file.errors)


def general(reason: str) -> str:
  """Returns a reason without the names and lines that only one class has."""
  for pattern, text in _PLACES:
    reason = pattern.sub(text, reason)
  return reason


def _grouped(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
  groups: dict[str, list[str]] = {}
  for key, name in pairs:
    groups.setdefault(key, []).append(name)
  ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
  return tuple((key, tuple(sorted(set(names)))) for key, names in ordered)


def plan_json(plan: Plan, options: dict[str, Any]) -> str:
  """Returns the plan as JSON: versioned, in a stable order, without paths of the machine."""
  document = {
    'format': FORMAT,
    'version': VERSION,
    'options': dict(sorted(options.items())),
    'exit_code': plan.exit_code,
    'counts': {
      'classes': count_outcomes(plan.classes),
      'files': {name: Counter(file.difficulty for file in plan.files)[name] for name in DIFFICULTIES},
      'call_sites': len(plan.call_sites),
    },
    'files': [_file(file) for file in plan.files],
    'reasons': [{'reason': reason, 'count': len(names), 'classes': names} for reason, names in plan.reasons],
    'helpers': [{'helper': helper, 'count': len(names), 'classes': names} for helper, names in plan.helpers],
    'sizes': [dataclasses.asdict(size) for size in plan.sizes],
  }
  return json.dumps(document, indent=2, ensure_ascii=False) + '\n'


def _file(file: FilePlan) -> dict[str, Any]:
  def lines(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [{'line': finding.line, 'message': finding.message} for finding in findings]

  return {
    'path': file.path,
    'difficulty': file.difficulty,
    'classes': [{'name': report.name, 'line': report.line, 'outcome': report.outcome, 'reasons': list(report.reasons),
                 'sizes': report.sizes} for report in file.classes],
    'call_sites': lines(file.call_sites),
    'linen': lines(file.linen),
    'assumptions': lines(file.assumptions),
    'errors': lines(file.errors),
  }
