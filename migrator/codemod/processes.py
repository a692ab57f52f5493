"""Spreads the parts of a project over processes; the answer does not depend on their number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from .options import Options
from .part import Part, migrate_part

_work: tuple[Any, Options] | None = None


def run_parts(project: Any, groups: Sequence[Sequence[str]], options: Options) -> list[Part]:
  """Migrates every group of modules; returns the parts in the order of the groups."""
  processes = min(options.jobs, len(groups))
  if processes < 2:
    return [migrate_part(project, group, options) for group in groups]
  import concurrent.futures
  import multiprocessing

  # A copy of this process knows the project already.  One with JAX in it has threads and must not be copied.
  copied = sys.platform == 'linux' and 'jax' not in sys.modules
  context = multiprocessing.get_context('fork' if copied else 'spawn')
  start = (_adopt, (project, options)) if copied else (_read, (*_origin(project), options))
  largest_first = sorted(range(len(groups)), key=lambda index: -_size(project, groups[index]))
  with concurrent.futures.ProcessPoolExecutor(processes, context, *start) as pool:
    futures = {index: pool.submit(_part, groups[index]) for index in largest_first}
    return [futures[index].result() for index in range(len(groups))]


def _size(project: Any, group: Sequence[str]) -> int:
  linen = [found.node for found in project.classes.values() if found.is_linen and found.module.name in group]
  return sum((node.end_lineno or 0) - node.lineno for node in linen)


def _origin(project: Any) -> tuple[list[Any], Any, list[Any]]:
  selected = [file.path for file in project.index.files.values() if file.selected]
  return selected, project.root, project.callers


def _adopt(project: Any, options: Options) -> None:
  global _work
  _work = project, options


def _read(paths: list[Any], root: Any, callers: list[Any], options: Options) -> None:
  from migrator.source.project import read_project

  _adopt(read_project(paths, root, callers=callers), options)


def _part(group: Sequence[str]) -> Part:
  assert _work is not None
  return migrate_part(_work[0], group, _work[1])
