"""What the user is told of each class."""

from __future__ import annotations

from migrator.report.findings import ClassReport, Finding

from .members import linen_name, nnx_path
from .plan import ClassPlan


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
        'note' if plan.chosen else 'warning',
      )
    ]
  return [
    Finding(source.module.relative, source.node.lineno, 'assumption', f'{source.node.name}: {text}', 'note')
    for text in plan.assumptions
  ]
