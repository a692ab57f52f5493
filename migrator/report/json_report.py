"""The report as JSON: versioned, in a stable order, without paths of the machine."""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.report.findings import ClassReport
from migrator.report.result import Change, Result, all_findings, count_levels, count_outcomes, exit_code

FORMAT, VERSION = 'linen2nnx-report', 1


def report_json(result: Result, source_root: Path, project: Path, options: Mapping[str, Any],
                written: bool) -> str:
  """Returns the JSON text of a migration's report.

  Args:
    result: what the migration found.
    source_root: folder that the file names in the report are relative to.
    project: the project's folder; the report names `source_root` relative to it.
    options: the options of the run, values JSON can hold.
    written: whether the files were written, or only shown.

  Returns:
    One object: format, version, source_root, options, written, exit_code, counts, files, one entry
    per Linen class, and the findings (unreadable files included); with a newline at the end.
  """
  findings = all_findings(result)
  files = sorted((_file(change, source_root) for change in result.files), key=lambda entry: entry['path'])
  document = {
    'format': FORMAT,
    'version': VERSION,
    'source_root': _relative(source_root, project),
    'options': dict(sorted(options.items())),
    'written': written,
    'exit_code': exit_code(result),
    'counts': {
      'classes': count_outcomes(result.classes),
      'findings': count_levels(findings),
      'files': {status: sum(entry['status'] == status for entry in files) for status in ('changed', 'new')},
    },
    'files': files,
    'classes': [_class(report) for report in sorted(result.classes, key=lambda report: report.name)],
    'findings': [dataclasses.asdict(finding) for finding in findings],
  }
  return json.dumps(document, indent=2, ensure_ascii=False) + '\n'


def _file(change: Change, source_root: Path) -> dict[str, str]:
  return {'path': _relative(change.path, source_root), 'status': 'changed' if change.before else 'new'}


def _class(report: ClassReport) -> dict[str, Any]:
  entry = dataclasses.asdict(report)
  # Sizes and names stay in the order of the source: it is stable and it is how one reads them.
  return {key: list(value) if isinstance(value, tuple) else value for key, value in entry.items()}


def _relative(path: Path, folder: Path) -> str:
  if path.is_relative_to(folder):
    return path.relative_to(folder).as_posix()
  outside = path.is_absolute() and folder.is_absolute() and path.is_relative_to(folder.parent)
  return Path(os.path.relpath(path, folder)).as_posix() if outside else path.name
