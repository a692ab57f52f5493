"""Plans the classes of a project; what cannot be native stays Linen, with its reason."""

from __future__ import annotations

import ast
import os
import textwrap
from collections.abc import Mapping
from typing import Any

from .bridge.call_sites import problems
from .bridge.references import read_references
from .class_writer import ClassWriter
from .given_weights import plan_guards
from .kept import Kept
from .layer_call import Refused
from .linen_names import LinenNames
from .module_fields import default_class
from .options import Options
from .plan import ClassPlan
from .planner import eligible, plan_flags, plan_members
from .sizes import PLACEHOLDER, NotStatic
from .text import text_of


def plan_classes(
  project: Any,
  analyses: dict[str, Any],
  order: list[str],
  options: Options,
  failed: dict[str, str],
  kept: Mapping[str, Kept] | None = None,
) -> dict[str, ClassPlan]:
  """Plans every class, used classes first; a class that fails takes its subclasses with it.

  failed: reasons of classes that are known to stay Linen, by name.
  kept: those that the user keeps Linen.
  """
  chosen = {name for name in kept or {} if name not in failed}
  failed.update({name: (kept or {})[name].reason for name in chosen})
  for name in sorted(failed):
    _bases_stay(project, name, analyses, failed)
  while True:
    plans: dict[str, ClassPlan] = {}
    news = False
    for name in _used_first(project, analyses, order):
      plan = ClassPlan(project.classes[name], analyses[name])
      plans[name] = plan
      if name in failed:
        plan.outcome, plan.reasons, plan.chosen = 'bridged', [failed[name]], name in chosen
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
        news |= _bases_stay(project, name, analyses, failed)
    for problem in problems(read_references(project, plans)):
      if problem.name not in failed:
        failed[problem.name] = problem.reason
        if problem.chosen:
          chosen.add(problem.name)
        _bases_stay(project, problem.name, analyses, failed)
        news = True
    if not news:
      _without_users(plans)
      return plans


def _bases_stay(project: Any, name: str, analyses: Mapping[str, Any], failed: dict[str, str]) -> bool:
  """Keeps the bases of a class that stays Linen; tells whether that is news."""
  news = False
  for base in project.classes[name].mro[1:]:
    if base.is_linen and base.name not in failed and base.name in analyses:
      failed[base.name] = f'its subclass {name} stays Linen'
      news = True
  return news


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
    for field in project.classes[name].fields.values():
      place(default_class(project, field) or '')
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
  eligible(plan, plans, project)
  plan_flags(plan)
  plan_members(plan, plans, options.names == 'linen')
  plan_guards(plan)
  names = LinenNames(project, plan.source.module)
  ClassWriter(plan, plans, text_of(plan.source.module), names, options.numerics == 'exact').write()
  ast.parse(textwrap.dedent(plan.text))
  notes = [f'{text} (line {line})' for line, text in sorted(set(plan.analysis.record.notes))]
  plan.assumptions += list(dict.fromkeys(notes))
