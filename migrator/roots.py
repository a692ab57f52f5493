"""Where a project is: its own folder, and the folder that dotted module names are relative to."""
from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from migrator.failure import Failure

MARKERS = ('pyproject.toml', 'setup.py', '.git')


@dataclasses.dataclass(frozen=True)
class Roots:
  """project: holds the settings and the manifest; source: what module names are relative to."""

  project: Path
  source: Path
  certain: bool = True  # the project's folder was given or has a marker

  def callers(self, paths: Sequence[Path]) -> list[Path]:
    """Returns the folders whose files may use what is in `paths`.

    The project; where its folder is a guess, only the topmost packages around the paths.
    """
    if self.certain:
      return [self.project]
    return sorted({top for path in paths if (top := _topmost_package(path)) is not None})


def existing(paths: Sequence[Path]) -> list[Path]:
  """Returns the paths made absolute.

  Raises:
    Failure: one of them does not exist.
  """
  for path in paths:
    if not path.exists():
      raise Failure(f'{path}: no such file or folder')
  return [Path(os.path.abspath(path)) for path in paths]


def find_roots(paths: Sequence[Path], root: Path | None = None) -> Roots:
  """Finds the roots of some files and folders.

  Args:
    paths: absolute paths.
    root: the folder chosen by the user; None to search upwards from the paths.

  Returns:
    The project is `root`, or the nearest folder above all paths that holds a pyproject.toml, a
    setup.py or a .git, or the folder that holds the topmost package.  The source root is the
    project's `src` folder when all paths lie in it and it is no package itself, else the project.

  Raises:
    Failure: a path lies outside `root`.
  """
  common = _common_folder(paths)
  if root is None:
    marked = _marked(common)
    certain, project = marked is not None, marked or _above_packages(common)
  else:
    certain, project = True, Path(os.path.abspath(root))
    outside = next((path for path in paths if not path.is_relative_to(project)), None)
    if outside is not None:
      raise Failure(f'{outside}: lies outside the root {project}; give --root a folder above all paths')
  return Roots(project, _source_root(project, common), certain)


def _common_folder(paths: Sequence[Path]) -> Path:
  folders = [path if path.is_dir() else path.parent for path in paths]
  return Path(os.path.commonpath(folders))


def _marked(folder: Path) -> Path | None:
  return next((above for above in (folder, *folder.parents) if _has_marker(above)), None)


def _has_marker(folder: Path) -> bool:
  return any((folder / marker).exists() for marker in MARKERS)


def _above_packages(folder: Path) -> Path:
  while (folder / '__init__.py').exists() and folder.parent != folder:
    folder = folder.parent
  return folder


def _topmost_package(path: Path) -> Path | None:
  folder = path if path.is_dir() else path.parent
  if not (folder / '__init__.py').exists():
    return None
  while (folder.parent / '__init__.py').exists():
    folder = folder.parent
  return folder


def _source_root(project: Path, common: Path) -> Path:
  source = project / 'src'
  is_layout = source.is_dir() and not (source / '__init__.py').exists()
  if is_layout and common.is_relative_to(source):
    return source
  return project


def holding(project: Path, files: Iterable[str]) -> Path:
  """Returns the folder that file names of a manifest are relative to: the project's `src`, or the project."""
  source = project / 'src'
  return source if any((source / file).is_file() for file in files) else project
