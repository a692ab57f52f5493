"""Migrates one part of a project: interpret, plan, write.  What comes out is plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from migrator.manifest import ClassMap, Manifest
from migrator.report.findings import ClassReport, Finding
from rewrites.bridge import AS_LINEN
from rewrites.with_flags import WITH_FLAGS

from .bridge.references import read_references
from .class_plans import plan_classes
from .class_reports import plan_findings, report
from .expand.lines import on_disk
from .import_jobs import run
from .kept import Kept, kept_classes, skip_findings
from .members import class_map
from .modes import follow_modes
from .module_writer import ModuleWriter, helper_home
from .options import FileChange, MigrationResult, Options
from .plan import ClassPlan
from .rounds import Met, settled


@dataclasses.dataclass
class Part:
  """What became of some files of a project.

  helpers: the helpers that the files need, by the dotted name of the helper file.
  strays: modules outside of the part whose classes it makes or calls; then it has to be done with them.
  """

  files: list[FileChange]
  reports: list[ClassReport]
  findings: list[Finding]
  classes: dict[str, ClassMap]
  helpers: dict[str, dict[str, Any]]
  errors: list[Finding]
  strays: set[str]


class Unwritable(Exception):
  """A file cannot take its new classes."""

  def __init__(self, module: str, reason: str) -> None:
    super().__init__(reason)
    self.module = module


def migrate_part(project: Any, modules: Collection[str], options: Options) -> Part:
  """Migrates the classes of some modules, which have nothing to do with the classes of others."""
  kept = kept_classes(project, modules, options)
  try:
    last, expansion, (plans, files, findings, helpers) = settled(
      project,
      modules,
      lambda read, analyses, order: _written(read.part(modules), analyses, order, options, kept),
      kept,
    )
  except Met as met:
    return Part([], [], [], {}, {}, [], met.modules)
  # What lies outside of the given paths is told of where it is used by what was migrated.
  told = [plan for plan in plans.values() if plan.source.module.selected or plan.outcome == 'bridged']
  findings += [finding for plan in told for finding in plan_findings(plan)]
  classes = {plan.name: class_map(plan, plans) for plan in told}
  reports = [report(plan) for plan in told]
  found = MigrationResult(files, reports, findings, Manifest(classes), list(last.errors))
  found = on_disk(found, last, expansion)
  return Part(
    found.files, found.classes, found.findings, dict(found.manifest.classes), helpers, found.errors, set()
  )


def _written(
  project: Any, analyses: dict[str, Any], order: list[str], options: Options, kept: Mapping[str, Kept]
) -> tuple[dict[str, ClassPlan], list[FileChange], list[Finding], dict[str, dict[str, Any]]]:
  """Plans and writes; the classes of a file that cannot be written stay Linen, and the rest is planned again."""
  failed: dict[str, str] = {}
  while True:
    plans = plan_classes(project, analyses, order, options, dict(failed), kept)
    if options.mode == 'module':
      follow_modes(project, plans, read_references(project, plans))
    try:
      return (plans, *write_modules(project, plans))
    except Unwritable as error:
      names = [
        name for name, plan in plans.items() if plan.source.module.name == error.module and plan.native
      ]
      if not names:
        raise
      failed.update(dict.fromkeys(names, f'its file cannot be written: {error}'))


def write_modules(
  project: Any, plans: dict[str, ClassPlan]
) -> tuple[list[FileChange], list[Finding], dict[str, dict[str, Any]]]:
  """Returns the changed files, and the helpers they need, by helper file."""
  files: list[FileChange] = []
  findings: list[Finding] = []
  helpers: dict[str, dict[str, Any]] = {}
  references = read_references(project, plans)
  for name, module in sorted(project.modules.items()):
    own = [plan for plan in plans.values() if plan.source.module is module]
    writer = ModuleWriter(project, module, own, helper_home(name), references)
    job = writer.job()
    findings += writer.findings
    if module.skips:
      findings += skip_findings(module)
    if not own and module.selected and module.skips.file is None:
      findings += _left_over(project, module)
    if job is None:
      continue
    try:
      text = writer.source.native_ends(run(job))
    except ValueError as error:
      raise Unwritable(job.module, str(error)) from error
    if text != writer.module.text:
      files.append(FileChange(writer.module.path, writer.module.text, text))
      helpers.setdefault(writer.helper_module, {}).update(writer.helpers)
      for place in writer.faces:
        helpers.setdefault(place, {})[AS_LINEN.name] = AS_LINEN
        if writer.flagged:
          helpers[place][WITH_FLAGS.name] = WITH_FLAGS
  return files, findings, helpers


def _left_over(project: Any, module: Any) -> list[Finding]:
  """Linen names in a file without Linen classes, once each: such a file is not rewritten."""
  lines: dict[str, int] = {}
  for use in project.linen_uses(module):
    lines.setdefault(use.name, use.line)
  return [
    Finding(
      module.relative,
      line,
      'stays-linen',
      f'{name} is used outside of classes; write it in NNX with the code around it',
    )
    for name, line in lines.items()
    if name != 'flax.linen'
  ]
