"""The source before the migration, taken from git into a folder of its own."""
from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from migrator.failure import Failure


@contextlib.contextmanager
def revision(folder: Path, name: str) -> Iterator[Path]:
  """Checks a git revision out into a temporary work tree, and removes it at the end, also on failure.

  Args:
    folder: a folder inside the repository.
    name: a revision, such as 'main' or 'HEAD~1'.

  Yields:
    The same folder in that revision.

  Raises:
    Failure: no repository, no such revision, or the folder is not in it.
  """
  inside = folder.resolve()
  top = Path(_git(inside, 'rev-parse', '--show-toplevel').strip()).resolve()
  commit = _git(top, 'rev-parse', '--verify', '--quiet', f'{name}^{{commit}}',
                missing=f'{name}: no such revision in the git repository of {folder}').strip()
  with tempfile.TemporaryDirectory(prefix='linen2nnx-base-', ignore_cleanup_errors=True) as place:
    tree = Path(place) / 'tree'
    try:
      _git(top, 'worktree', 'add', '--detach', '--quiet', str(tree), commit)
      wanted = tree / inside.relative_to(top)
      if not wanted.is_dir():
        raise Failure(f'{inside.relative_to(top).as_posix()}: no such folder in revision {name}')
      yield wanted
    finally:
      _run(top, 'worktree', 'remove', '--force', str(tree))
      _run(top, 'worktree', 'prune')


def _git(folder: Path, *words: str, missing: str = '') -> str:
  done = _run(folder, *words)
  if done.returncode:
    reason = ' '.join(done.stderr.split()) or f'git {words[0]} failed'
    raise Failure(missing or f'{folder}: {reason}')
  return done.stdout


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
  try:
    # A checkout must not run the repository's hooks.
    return subprocess.run(['git', '-c', 'core.hooksPath=/dev/null', '-C', str(folder), *words],
                          capture_output=True, text=True, check=False)
  except FileNotFoundError as error:
    raise Failure('git is not installed; give --linen-root instead of --base') from error
