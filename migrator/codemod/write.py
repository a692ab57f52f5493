"""Writing a set of files: all of them or none.

New contents go to temporary files beside their targets and are flushed to disk; only when every one
of them is there, targets are replaced by renames.  When a rename fails, those already done are undone
from hard-linked (or copied) originals.
"""
from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from migrator.failure import Failure

_MARK = '.linen2nnx-'


@dataclasses.dataclass
class _Pending:
  """One file under way: its real target, the new contents beside it, and the kept original.

  The rename itself is the only mark of having been replaced (`fresh` is gone), so that an interrupt
  between a rename and a note about it cannot matter.
  """

  target: Path
  fresh: Path
  original: Path | None = None


def write_files(texts: Mapping[Path, str], expected: Mapping[Path, str] | None = None) -> list[Path]:
  """Writes all files or none.

  Symbolic links are followed to the real file, modes of existing files are kept, missing folders are
  made, and line endings are written as they stand in the texts.

  Args:
    texts: path -> new contents, written as UTF-8.
    expected: path -> contents read earlier; a file that says something else now (line endings aside)
      is refused, so that an edit made meanwhile is not lost.  Paths that are not listed are not compared.

  Returns:
    The real paths written, sorted.

  Raises:
    Failure: a target is a folder, two paths are one file, a file changed meanwhile, or writing failed;
      the tree is then as it was.
  """
  targets = _targets(texts)
  for path, before in (expected or {}).items():
    _refuse_changed(path, before)
  made: list[Path] = []
  pending: list[_Pending] = []
  try:
    for target, text in targets.items():
      _make_folders(target.parent, made)
      pending.append(_prepare(target, text))
    for item in pending:
      os.replace(item.fresh, item.target)
  except BaseException as error:
    troubles = _undo(pending, made)
    if not isinstance(error, OSError):
      raise
    raise Failure(_failed(error, troubles)) from error
  for item in pending:
    _discard(item.original)
  _flush_folders({item.target.parent for item in pending})
  return sorted(targets)


def _targets(texts: Mapping[Path, str]) -> dict[Path, str]:
  targets: dict[Path, str] = {}
  for path in sorted(texts):
    real = Path(os.path.realpath(path))
    if real.is_dir():
      raise Failure(f'{path}: is a folder, a file was to be written there; nothing was written')
    if targets.get(real, texts[path]) != texts[path]:
      raise Failure(f'{path}: two names of one file ({real}), two new contents; nothing was written')
    targets[real] = texts[path]
  return targets


def _refuse_changed(path: Path, before: str) -> None:
  try:
    now = path.read_bytes().decode('utf-8', errors='replace')
  except FileNotFoundError:
    now = ''
  if _lines(now) != _lines(before):
    raise Failure(f'{path}: changed while it was being migrated; nothing was written, run again')


def _lines(text: str) -> list[str]:
  return text.removeprefix('\ufeff').splitlines()


def _make_folders(folder: Path, made: list[Path]) -> None:
  """Makes a folder and those above it; appends the new ones to `made`, outermost first."""
  missing = []
  while not folder.exists():
    missing.append(folder)
    folder = folder.parent
  for new in reversed(missing):
    new.mkdir()
    made.append(new)


def _prepare(target: Path, text: str) -> _Pending:
  descriptor, name = tempfile.mkstemp(prefix=f'.{target.name}{_MARK}', dir=target.parent)
  item = _Pending(target, Path(name))
  try:
    with os.fdopen(descriptor, 'wb') as file:
      file.write(text.encode('utf-8'))
      file.flush()
      os.fsync(file.fileno())
    if target.exists():
      shutil.copymode(target, item.fresh)
      item.original = _keep(target)
    else:
      os.chmod(item.fresh, 0o666 & ~_umask())
  except BaseException:
    _discard(item.fresh)
    raise
  return item


def _keep(target: Path) -> Path:
  """A second name of the original, so that undoing is a rename; a copy where links are not possible."""
  descriptor, name = tempfile.mkstemp(prefix=f'.{target.name}{_MARK}', dir=target.parent)
  os.close(descriptor)
  kept = Path(name)
  kept.unlink()
  try:
    os.link(target, kept)
  except OSError:
    shutil.copy2(target, kept)
  return kept


def _umask() -> int:
  current = os.umask(0)
  os.umask(current)
  return current


def _undo(pending: Sequence[_Pending], made: Sequence[Path]) -> list[str]:
  """Puts everything back; returns what could not be put back, in words."""
  troubles: list[str] = []
  for item in reversed(pending):
    try:
      _restore(item)
    except OSError as error:
      troubles.append(f'{item.target} was not put back ({error.strerror}), its original is {item.original}')
  for folder in reversed(made):
    _attempt(folder.rmdir)
  return troubles


def _restore(item: _Pending) -> None:
  if item.fresh.exists():
    _discard(item.fresh)
    _discard(item.original)
  elif item.original is not None:
    os.replace(item.original, item.target)
  else:
    item.target.unlink()


def _discard(path: Path | None) -> None:
  if path is not None:
    _attempt(path.unlink)


def _attempt(action: Callable[[], object]) -> None:
  try:
    action()
  except OSError:
    pass  # a leftover must not hide the error, or the success, that matters


def _flush_folders(folders: set[Path]) -> None:
  """Makes the renames themselves durable, where the system lets a folder be opened."""
  for folder in sorted(folders):
    try:
      descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
      continue
    try:
      os.fsync(descriptor)
    except OSError:
      pass
    finally:
      os.close(descriptor)


def _failed(error: OSError, troubles: Sequence[str]) -> str:
  place = error.filename if error.filename is not None else 'the files'
  reason = error.strerror or str(error)
  if troubles:
    return f'{place}: {reason}; undoing failed as well: {"; ".join(troubles)}'
  return f'{place}: {reason}; nothing was written'
