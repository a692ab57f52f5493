"""Prints the plan of a conversion."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from migrator.checkpoints.plan import Plan as Steps
  from migrator.weights.convert import ConversionReport

_WAYS = {
  'kept': 'only get other names (linked)',
  'indexed': 'are put together by index (linked)',
  'encoded': 'are decoded and encoded again',
  'new': 'are new values',
}


def preview(report: ConversionReport) -> Iterator[str]:
  """Yields the lines of `--dry-run`: how many bytes come about in which way, then every array."""
  from migrator.checkpoints.expressions import described, names
  from migrator.checkpoints.plan import plan

  steps = plan({tuple(map(str, path)): value for path, value in report.content.items() if hasattr(value, 'dtype')})
  yield f'{report.target}: {report.kind} of {report.class_name}; nothing was written'
  yield from _totals(steps)
  for note in report.notes:
    yield f'note: {note}'
  for step in steps.steps:
    yield f'  {step.how:8}{"/".join(step.path)}  {described(step.value)}  from {names(step.value)}'
  for path, value in report.content.items():
    if not hasattr(value, 'dtype'):
      yield f'  {"empty" if not value else "text":8}{"/".join(map(str, path))}'


def _totals(steps: Steps) -> Iterator[str]:
  for way, meaning in _WAYS.items():
    if steps.count(way):
      yield f'{steps.count(way)} arrays, {steps.total(way)} bytes: {meaning}'
