"""A migrated copy of some files and folders beside the originals, complete or not there at all."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from migrator.failure import Failure

SKIPPED = frozenset({'__pycache__', 'node_modules', 'site-packages'})


def refuse_occupied(out: Path) -> None:
  """Raises Failure when `out` exists and is not an empty folder."""
  if not out.exists():
    return
  if not out.is_dir():
    raise Failure(f'{out}: is a file; --out needs a new folder')
  if any(out.iterdir()):
    raise Failure(f'{out}: is not empty; --out needs a new or empty folder')


def copy_migrated(paths: Sequence[Path], root: Path, out: Path, changed: Mapping[Path, str]) -> None:
  """Copies all files under `paths` to `out`, at their places relative to `root`, with changed texts.

  Hidden folders, caches and installed packages are left out.  The copy is built beside `out` and
  renamed at the end.

  Args:
    paths: absolute files and folders under `root`.
    root: the folder the copy's places are relative to.
    out: a folder that does not exist or is empty.
    changed: absolute path -> new text, of changed and of new files.

  Raises:
    Failure: `out` is occupied, or copying failed; `out` is then as it was.
  """
  refuse_occupied(out)
  out = Path(os.path.abspath(out))
  try:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}-', dir=out.parent) as name:
      copy = Path(name) / 'copy'
      _fill(copy, paths, root, out, changed)
      if out.exists():
        out.rmdir()
      os.rename(copy, out)
  except OSError as error:
    raise Failure(f'{error.filename or out}: {error.strerror or error}; nothing was written') from error


def _fill(copy: Path, paths: Sequence[Path], root: Path, out: Path, changed: Mapping[Path, str]) -> None:
  copy.mkdir()
  for file in sorted(set(_files(paths, out))):
    target = copy / file.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)
  for file, text in changed.items():
    target = copy / file.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode('utf-8'))


def _files(paths: Sequence[Path], out: Path) -> Iterator[Path]:
  for path in paths:
    if path.is_file():
      yield path
      continue
    for folder, inner, names in os.walk(path):
      inner[:] = [name for name in inner if _is_copied(Path(folder, name), out)]
      yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def _is_copied(folder: Path, out: Path) -> bool:
  is_environment = (folder / 'pyvenv.cfg').exists()
  return not (folder.name.startswith('.') or folder.name in SKIPPED or is_environment or folder == out)
