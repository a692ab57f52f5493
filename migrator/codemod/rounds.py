"""Reads, interprets and plans a repository until the calls that have to be written out are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from migrator.source.project import read_project

from .expand import Expansion, expand

_DEPTH = 4  # helpers that call helpers


def settled(
  paths: list[Path], root: Path, written: Callable[[Any, dict[str, Any], list[str]], Any]
) -> tuple[Any, Expansion, Any]:
  """Returns the project as it was planned, the texts it was read with, and what `written` made of it.

  written: plans and writes a project from its analyses and the order of its classes, users last.
  """
  project, analyses = _interpreted(paths, root, Expansion())
  kept: dict[str, list[str]] = {}
  while True:
    expansion, last, seen = _expanded(paths, root, project, analyses, kept)
    result = written(last, seen, _order(last))
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
  paths: list[Path], root: Path, project: Any, analyses: dict[str, Any], kept: dict[str, list[str]]
) -> tuple[Expansion, Any, dict[str, Any]]:
  expansion = Expansion()
  for _ in range(_DEPTH):
    more = expand(project, analyses, set(kept), expansion)
    if not more:
      break
    project, analyses = _interpreted(paths, root, expansion)
  return expansion, project, analyses


def _interpreted(paths: list[Path], root: Path, expansion: Expansion) -> tuple[Any, dict[str, Any]]:
  from migrator.shapes.analysis import analyse_all

  project = read_project(paths, root, expansion.texts())
  return project, analyse_all(project)


def _order(project: Any) -> list[str]:
  from migrator.shapes.analysis import users_first

  return list(reversed(users_first(project)))
