"""A target appears whole or not at all: written beside its place, then renamed once.

A run that was killed leaves its staging folder.  The lock in it is free then, and the next run to the same
target removes it; the folder of a run that is alive is left alone.
"""
from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from migrator.checkpoints.errors import CheckpointError

SUFFIX = '.linen2nnx-tmp'
_LOCK = 'lock'
_AT_A_TIME = 32


def refuse_target(target: Path) -> None:
  """Raises CheckpointError if the target exists or its folder does not."""
  if os.path.lexists(target):
    raise CheckpointError(f'{target}: exists already; remove it or name another target')
  if not target.parent.is_dir():
    raise CheckpointError(f'{target.parent}: there is no such folder; create it')


@dataclasses.dataclass
class Syncing:
  """What is made durable before the target appears.

  unless: files that share their bytes with the source.  left: all is left to the system, as `cp` does:
  where large files were copied, syncing the small ones would wait for those.
  """

  unless: set[Path] = dataclasses.field(default_factory=set)
  left: bool = False


@contextlib.contextmanager
def staged(target: Path, syncing: Syncing | None = None) -> Iterator[Path]:
  """Gives a path to write to, and makes it the target when the block ends well.

  Args:
    syncing: read when the block has ended; everything is synced when None.

  Raises:
    CheckpointError: the target exists, before or after the writing.
  """
  refuse_target(target)
  clean(target)
  staging = target.parent / f'.{target.name}.{os.urandom(6).hex()}{SUFFIX}'
  staging.mkdir(mode=0o700)
  try:
    with _locked(staging):
      yield staging / 'new'
      refuse_target(target)
      chosen = syncing or Syncing()
      if not chosen.left:
        sync(staging / 'new', chosen.unless)
      _put(staging / 'new', target)
      if not chosen.left:
        sync_folder(target.parent)
  finally:
    shutil.rmtree(staging, ignore_errors=True)


def _put(made: Path, target: Path) -> None:
  """One step that makes the target; what appeared there meanwhile stays."""
  try:
    if made.is_dir():
      os.rename(made, target)
    else:
      # A rename would replace a file.
      os.link(made, target)
  except (FileExistsError, NotADirectoryError) as error:
    raise CheckpointError(f'{target}: appeared meanwhile; remove it or name another target') from error
  except OSError as error:
    if error.errno == errno.ENOTEMPTY:
      raise CheckpointError(f'{target}: appeared meanwhile; remove it or name another target') from error
    if made.is_dir():
      raise
    os.rename(made, target)


def clean(target: Path) -> None:
  """Removes what interrupted runs to this target left."""
  for left in target.parent.glob(f'.{_escaped(target.name)}.*{SUFFIX}'):
    if left.is_dir() and not left.is_symlink() and not _is_alive(left):
      shutil.rmtree(left, ignore_errors=True)


def _escaped(name: str) -> str:
  return ''.join(f'[{letter}]' if letter in '*?[' else letter for letter in name)


def _is_alive(staging: Path) -> bool:
  """Whether the run that made a staging folder holds its lock, or may be about to take it."""
  try:
    descriptor = os.open(staging / _LOCK, os.O_RDWR)
  except FileNotFoundError:
    # Killed, or started a moment ago, between making the folder and its lock.
    return _is_young(staging)
  except OSError:
    return True
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:
    return True
  finally:
    os.close(descriptor)
  return False


def _is_young(staging: Path, seconds: float = 1.0) -> bool:
  return time.time() - staging.stat().st_mtime < seconds


@contextlib.contextmanager
def _locked(staging: Path) -> Iterator[None]:
  # Made under another name: a lock that is seen is held.
  descriptor = os.open(staging / 'lock.new', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
  try:
    # A file system without locks lets nobody tell a dead run from a live one; then nothing is cleaned.
    with contextlib.suppress(OSError):
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.rename(staging / 'lock.new', staging / _LOCK)
    yield
  finally:
    os.close(descriptor)


def sync(path: Path, unless: Collection[Path] = ()) -> None:
  """Makes new files and folders durable, all at a time: one commit of the journal serves them.

  Args:
    unless: files that share their bytes with the source.

  Raises:
    OSError: the disk did not take them.
  """
  found = [path, *path.rglob('*')] if path.is_dir() else [path]
  errors: list[OSError] = []
  running = [threading.Thread(target=_sync, args=(file, errors)) for file in found if file not in unless]
  for start in range(0, len(running), _AT_A_TIME):
    for one in running[start:start + _AT_A_TIME]:
      one.start()
    for one in running[start:start + _AT_A_TIME]:
      one.join()
  if errors:
    raise errors[0]


def sync_folder(folder: Path) -> None:
  """Makes the entries of a folder durable, where the file system can."""
  _sync(folder, [])


def _sync(path: Path, errors: list[OSError]) -> None:
  try:
    descriptor = os.open(path, os.O_RDONLY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)
  except OSError as error:
    # Some file systems cannot, for folders above all.
    if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.EACCES):
      errors.append(error)


def write_file(path: Path, content: bytes) -> None:
  """Writes a new file; its folder is made."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('xb') as file:
    file.write(content)
