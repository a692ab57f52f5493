"""Migrates a repository: read, interpret, plan, write.  Nothing is written to disk here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from migrator.manifest import Manifest
from migrator.report.findings import Finding
from migrator.source.project import read_project
from rewrites.bridge import AS_LINEN

from .garbage import rarely_collected
from .groups import independent, joined
from .helper_file import helper_text
from .method_functions import method_function_findings
from .notebook_changes import in_cells
from .old_names import old_name_findings
from .options import FileChange, MigrationResult, Options
from .part import Part
from .processes import run_parts


def migrate(
  paths: Sequence[Path], root: Path, options: Options | None = None, callers: Sequence[Path] | None = None
) -> MigrationResult:
  """Migrates the Linen classes in `paths`.

  Args:
    paths: files and folders; root: folder that module names are relative to; options: see `Options`.
    callers: folders with further files, which are changed where they use classes in `paths`; the root when None.
  Returns:
    new file contents, reports and the manifest.  The files themselves are left alone.
  """
  with rarely_collected():
    project = read_project([Path(path) for path in paths], Path(root), callers=[Path(root)] if callers is None else callers)
    with rarely_collected():  # the trees that were read stay
      parts = _parts(project, options or Options())
  files = sorted((file for part in parts for file in part.files), key=lambda file: file.path)
  findings = [finding for part in parts for finding in part.findings] + list(project.suspicious)
  for file, found in _helper_files(project, parts):
    files.append(file)
    findings += found
  reports = sorted((row for part in parts for row in part.reports), key=lambda row: row.name)
  findings += old_name_findings(project, reports)
  findings += method_function_findings(project, reports)
  classes = {name: row for part in parts for name, row in part.classes.items()}
  result = MigrationResult(
    files,
    reports,
    sorted(set(findings)),
    Manifest(dict(sorted(classes.items()))),
    sorted({error for part in parts for error in part.errors} | set(project.errors)),
  )
  return in_cells(result, project)


def _parts(project: Any, options: Options) -> list[Part]:
  """Migrates the files in groups, the files of the project in order; groups that meet are put together."""
  groups = independent(project)
  done: dict[tuple[str, ...], Part] = {}
  while True:
    asked = [group for group in groups if any(project.modules[name].selected for name in group)]
    waiting = [group for group in asked if tuple(group) not in done]
    for group, part in zip(waiting, run_parts(project, waiting, options)):
      done[tuple(group)] = part
    parts = [done[tuple(group)] for group in asked]
    strays = [{group[0], *part.strays} for group, part in zip(asked, parts) if part.strays]
    if not strays:
      return parts
    groups = joined(groups, strays)


def _helper_files(project: Any, parts: Sequence[Part]) -> Iterator[tuple[FileChange, list[Finding]]]:
  helpers: dict[str, dict[str, Any]] = {}
  for part in parts:
    for home, needed in part.helpers.items():
      helpers.setdefault(home, {}).update(needed)
  for home, needed in sorted(helpers.items()):
    if needed:
      path = project.root.joinpath(*home.split('.')).with_suffix('.py')
      before = path.read_text() if path.exists() else ''
      change = FileChange(path, before, helper_text(needed, before))
      findings: list[Finding] = []
      if AS_LINEN.name in needed:
        findings.append(
          Finding(
            path.relative_to(project.root).as_posix(),
            1,
            'stays-linen',
            f'{AS_LINEN.name} uses Linen for the code that stays Linen; it goes with its last call',
          )
        )
      yield change, findings
