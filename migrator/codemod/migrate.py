"""Migrates a repository: read, interpret, plan, write.  Nothing is written to disk here."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from migrator.manifest import Manifest
from migrator.report.findings import ClassReport, Finding
from rewrites.bridge import AS_LINEN

from .bridge.call_sites import problems
from .bridge.references import read_references
from .class_writer import ClassWriter
from .expand.lines import on_disk
from .given_weights import plan_guards
from .helper_file import helper_text
from .import_jobs import ImportJob, run_all
from .layer_call import Refused
from .linen_names import LinenNames
from .members import class_map, linen_name, nnx_path
from .module_writer import ModuleWriter, helper_home
from .options import FileChange, MigrationResult, Options
from .plan import ClassPlan
from .planner import eligible, plan_flags, plan_members
from .sizes import PLACEHOLDER, NotStatic
from .text import text_of


def migrate(paths: Sequence[Path], root: Path, options: Options | None = None) -> MigrationResult:
  """Migrates the Linen classes in `paths`.

  Args:
    paths: files and folders; root: folder that module names are relative to; options: see `Options`.
  Returns:
    new file contents, reports and the manifest.  The files themselves are left alone.
  """
  from .rounds import settled

  options = options or Options()
  paths = [Path(path) for path in paths]
  project, expansion, (plans, files, findings) = settled(
    paths, Path(root), lambda project, analyses, order: _written(project, analyses, order, options)
  )
  reports = [report(plan) for plan in sorted(plans.values(), key=lambda plan: plan.name)]
  findings += [finding for plan in plans.values() for finding in plan_findings(plan)]
  manifest = Manifest({name: class_map(plan, plans) for name, plan in sorted(plans.items())})
  findings += list(project.suspicious)
  result = MigrationResult(files, reports, sorted(set(findings)), manifest, list(project.errors))
  return on_disk(result, project, expansion)


class Unwritable(Exception):
  """A file cannot take its new classes."""

  def __init__(self, module: str, reason: str) -> None:
    super().__init__(reason)
    self.module = module


def _written(
  project: Any, analyses: dict[str, Any], order: list[str], options: Options
) -> tuple[dict[str, ClassPlan], list[FileChange], list[Finding]]:
  """Plans and writes; the classes of a file that cannot be written stay Linen, and the rest is planned again."""
  failed: dict[str, str] = {}
  while True:
    plans = plan_classes(project, analyses, order, options, dict(failed))
    try:
      return (plans, *write_modules(project, plans, options.jobs))
    except Unwritable as error:
      names = [
        name for name, plan in plans.items() if plan.source.module.name == error.module and plan.native
      ]
      if not names:
        raise
      failed.update(dict.fromkeys(names, f'its file cannot be written: {error}'))


def plan_classes(
  project: Any, analyses: dict[str, Any], order: list[str], options: Options, failed: dict[str, str]
) -> dict[str, ClassPlan]:
  """Plans every class, used classes first; a class that fails takes its subclasses with it.

  failed: reasons of classes that are known to stay Linen, by name.
  """
  while True:
    plans: dict[str, ClassPlan] = {}
    news = False
    for name in _used_first(project, analyses, order):
      plan = ClassPlan(project.classes[name], analyses[name])
      plans[name] = plan
      if name in failed:
        plan.outcome, plan.reasons = 'bridged', [failed[name]]
        continue
      try:
        plan_one(plan, plans, project, options)
      except Exception as error:  # a class that defeats the tool stays Linen, whatever the reason
        expected = isinstance(error, (Refused, NotStatic))
        if not expected and os.environ.get('LINEN2NNX_DEBUG'):
          raise
        plan.outcome = 'bridged'
        plan.reasons = [
          PLACEHOLDER.sub(r'\2.shape[\3]', str(error))
          if expected
          else f'the tool failed on it ({type(error).__name__}: {error}); please report it'
        ]
        failed[name] = plan.reasons[
          0
        ]  # the first reason found stays; later rounds would only name each other
        for base in project.classes[name].mro[1:]:
          if base.is_linen and base.name not in failed and base.name in analyses:
            failed[base.name] = f'its subclass {name} stays Linen'
            news = True
    for problem in problems(read_references(project, plans)):
      if problem.name not in failed:
        failed[problem.name] = problem.reason
        news = True
    if not news:
      _without_users(plans)
      return plans


def _without_users(plans: dict[str, ClassPlan]) -> None:
  """A class that stays Linen is bridged if an NNX class makes it, else it is left."""
  reached = {
    member.stays.name
    for plan in plans.values()
    if plan.native
    for member in plan.members
    if member.stays is not None
  }
  for plan in plans.values():
    if not plan.native:
      plan.outcome = 'bridged' if plan.name in reached else 'left'


def _used_first(project: Any, analyses: dict[str, Any], order: list[str]) -> list[str]:
  """Returns the classes so that bases and the classes a class makes come before it."""
  placed: list[str] = []
  begun: set[str] = set()

  def place(name: str) -> None:
    if name in begun or name not in analyses:
      return
    begun.add(name)
    for base in reversed(project.classes[name].mro[1:]):
      place(base.name)
    for creation in analyses[name].record.order:
      if creation.kind == 'class':
        place(creation.target)
    for other in order:
      if other.startswith(f'{name}.'):
        place(other)  # a nested class is written into the one around it
    placed.append(name)

  for name in order:
    place(name)
  return placed


def plan_one(plan: ClassPlan, plans: dict[str, ClassPlan], project: Any, options: Options) -> None:
  """Plans and writes one class.

  Raises:
    Refused, NotStatic: it cannot be native.
  """
  eligible(plan, plans)
  plan_flags(plan)
  plan_members(plan, plans, options.names == 'linen')
  plan_guards(plan)
  names = LinenNames(project, plan.source.module)
  ClassWriter(plan, plans, text_of(plan.source.module), names, options.numerics == 'exact').write()
  ast.parse(_dedent(plan.text))
  notes = [f'{text} (line {line})' for line, text in sorted(set(plan.analysis.record.notes))]
  plan.assumptions += list(dict.fromkeys(notes))


def _dedent(text: str) -> str:
  import textwrap

  return textwrap.dedent(text)


def write_modules(
  project: Any, plans: dict[str, ClassPlan], processes: int
) -> tuple[list[FileChange], list[Finding]]:
  """Returns the changed files, and the helper files they need."""
  files: list[FileChange] = []
  findings: list[Finding] = []
  helpers: dict[str, dict[str, Any]] = {}
  references = read_references(project, plans)
  drafts: list[tuple[ModuleWriter, ImportJob]] = []
  for name, module in sorted(project.modules.items()):
    own = [plan for plan in plans.values() if plan.source.module is module]
    writer = ModuleWriter(project, module, own, helper_home(name), references)
    job = writer.job()
    findings += writer.findings
    if not own:
      findings += _left_over(project, module)
    if job is not None:
      drafts.append((writer, job))
  for (writer, job), result in zip(drafts, run_all([job for _, job in drafts], processes)):
    if isinstance(result, ValueError):
      raise Unwritable(job.module, str(result))
    text = writer.source.native_ends(result)
    if text != writer.module.text:
      files.append(FileChange(writer.module.path, writer.module.text, text))
      helpers.setdefault(writer.helper_module, {}).update(writer.helpers)
      for place in writer.faces:
        helpers.setdefault(place, {})[AS_LINEN.name] = AS_LINEN
  for home, needed in sorted(helpers.items()):
    if needed:
      path = project.root.joinpath(*home.split('.')).with_suffix('.py')
      before = path.read_text() if path.exists() else ''
      files.append(FileChange(path, before, helper_text(needed, before)))
      if AS_LINEN.name in needed:
        findings.append(
          Finding(
            path.relative_to(project.root).as_posix(),
            1,
            'stays-linen',
            f'{AS_LINEN.name} uses Linen for the code that stays Linen; it goes with its last call',
          )
        )
  return files, findings


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


def report(plan: ClassPlan) -> ClassReport:
  """Returns the report of one class."""
  names = _names(plan) if plan.native else {}
  reasons = tuple(plan.reasons) + tuple(f'uses the helper {name}' for name in plan.helpers)
  return ClassReport(
    plan.name,
    plan.source.module.relative,
    plan.source.node.lineno,
    plan.outcome,  # type: ignore[arg-type]
    reasons,
    tuple(plan.assumptions),
    dict(plan.size_texts),
    names,
  )


def _names(plan: ClassPlan) -> dict[str, str]:
  """Linen name -> NNX path; automatic names carry a number as long as no loop or condition makes it uncertain."""
  names: dict[str, str] = {}
  counts: dict[str, int | None] = {}
  for member in plan.members:
    if member.creation.kind in ('param', 'variable'):
      key = str(member.creation.arguments.get('name'))
    else:
      explicit, prefix = linen_name(member)
      count = counts.get(str(prefix), 0)
      if explicit is None:
        counts[str(prefix)] = None if member.creation.path or count is None else count + 1
      number = '*' if counts.get(str(prefix)) is None else count
      key = '/'.join(explicit) if explicit else f'{prefix}_{number}'
    path = '.'.join(nnx_path(member))
    names[key] = f'{names[key]}, {path}' if key in names else path
  return names


def plan_findings(plan: ClassPlan) -> list[Finding]:
  """Returns what the user must know about one class."""
  source = plan.source
  if not plan.native:
    return [
      Finding(
        source.module.relative,
        source.node.lineno,
        'stays-linen',
        f'{source.node.name} stays Linen: {"; ".join(plan.reasons)}',
      )
    ]
  return [
    Finding(source.module.relative, source.node.lineno, 'assumption', f'{source.node.name}: {text}', 'note')
    for text in plan.assumptions
  ]
