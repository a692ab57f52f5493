"""Interprets and plans some files of a project until the calls that have to be written out are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from migrator.source.project import read_again

from .expand import Expansion, expand

_DEPTH = 4  # helpers that call helpers


class Met(Exception):
  """Linen classes of other files were made or called.  modules: where they are."""

  def __init__(self, modules: set[str]) -> None:
    super().__init__(', '.join(sorted(modules)))
    self.modules = modules


def settled(
  project: Any,
  modules: Collection[str],
  written: Callable[[Any, dict[str, Any], list[str]], Any],
  linen: Collection[str] = (),
) -> tuple[Any, Expansion, Any]:
  """Returns the project as it was planned, the texts it was read with, and what `written` made of it.

  modules: whose classes are planned; written: plans and writes them from their analyses and their order, users last.
  linen: classes that keep their text whatever the others become.

  Raises:
    Met: the classes have to do with those of other modules.
  """
  analyses = _interpreted(project, modules)
  kept: dict[str, list[str]] = {}
  while True:
    expansion, last, seen = _expanded(project, modules, analyses, {*kept, *linen})
    result = written(last, seen, list(reversed(seen)))
    native = {name for name, plan in result[0].items() if plan.native}
    stay = expansion.classes - native
    if not stay:
      for name, reasons in kept.items():
        if not result[0][name].native:
          result[0][name].reasons = reasons
      return last, expansion, result
    for name in stay:  # a class that stays Linen keeps its own text
      path = last.classes[name].module.path
      kept[name] = [expansion.sentence(path, text) for text in result[0][name].reasons]


def _expanded(
  project: Any, modules: Collection[str], analyses: dict[str, Any], kept: set[str]
) -> tuple[Expansion, Any, dict[str, Any]]:
  expansion = Expansion()
  for _ in range(_DEPTH):
    more = expand(project, analyses, kept, expansion)
    if not more:
      break
    project = read_again(project, expansion.texts())
    analyses = _interpreted(project, modules)
  return expansion, project, analyses


def _interpreted(project: Any, modules: Collection[str]) -> dict[str, Any]:
  names = {name for name, found in project.classes.items() if found.is_linen and found.module.name in modules}
  if not names:
    return {}
  from migrator.shapes.analysis import Evidence, analyse_all

  evidence = Evidence()
  analyses = analyse_all(project, names, evidence)
  met = set(evidence.observed)
  for analysis in analyses.values():
    met |= {creation.target for creation in analysis.record.order if creation.kind == 'class'}
  others = [project.classes[name] for name in met - names if name in project.classes]
  strays = {found.module.name for found in others if found.is_linen}
  if strays:
    raise Met(strays)
  return analyses
