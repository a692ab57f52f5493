"""Classes that may be Linen modules although their bases cannot be followed."""
from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.report.findings import Finding
from migrator.source.flax_names import is_linen_name

if TYPE_CHECKING:
  from migrator.source.classes import SourceClass
  from migrator.source.project import Project


def suspicious_classes(project: Project) -> list[Finding]:
  """Returns a finding for each class that is not known to be Linen, but may be."""
  found = []
  for item in project.classes.values():
    if not item.module.selected or item.module.skips.comment_in(item.node) is not None:
      continue
    why = None if item.is_linen else _reason(project, item)
    if why is not None:
      found.append(Finding(item.module.relative, item.node.lineno, 'unknown-base',
                           f'{item.name}: {why}; migrate it by hand if it is a Linen module.'))
  return sorted(found)


def _reason(project: Project, item: SourceClass) -> str | None:
  """Returns why the class may be a Linen module, or None."""
  unknown = [text for owner in item.mro for text in owner.unresolved]
  if unknown and any(is_linen_name(project.resolve(item.module, name)) for name in item.module.bindings):
    return f'the base {unknown[0]} cannot be followed, and the file uses Linen'
  if any(method.compact or method.nowrap for method in item.own_methods.values()):
    return 'it uses nn.compact or nn.nowrap, but no base is known to be a Linen module'
  return None
