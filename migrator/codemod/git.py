"""What git says about a tree: the one question a migration asks before it writes."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


def git_dirty(root: Path, paths: Sequence[Path]) -> list[str] | None:
  """Returns what git has not committed under some paths, or None where there is no git repository.

  Args:
    root: a folder inside the repository.
    paths: files and folders to ask about.

  Returns:
    Sorted names relative to `root` (with '/') of changed tracked files and of untracked .py files and notebooks.
  """
  where = _git(root, 'rev-parse', '--show-toplevel')
  if where is None:
    return None
  top = Path(os.fsdecode(where).rstrip('\n'))
  listed = _git(root, 'status', '--porcelain=v1', '-z', '--untracked-files=all', '--no-renames',
                '--', *(str(path) for path in paths))
  if listed is None:
    return None
  names = []
  for entry in filter(None, listed.split(b'\0')):
    state, name = entry[:2], os.fsdecode(entry[3:])
    if state != b'??' or name.endswith(('.py', '.ipynb')):
      names.append(Path(os.path.relpath(top / name, os.path.realpath(root))).as_posix())
  return sorted(names)


def _git(folder: Path, *arguments: str) -> bytes | None:
  try:
    done = subprocess.run(['git', '-C', str(folder), *arguments], capture_output=True, check=False)
  except FileNotFoundError:
    return None
  return done.stdout if done.returncode == 0 else None
