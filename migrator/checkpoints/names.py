"""Names that a store can hold and keep apart."""
from __future__ import annotations

from collections.abc import Iterable

from migrator.checkpoints.errors import CheckpointError

LONGEST = 1024
# Names that were looked at already: a checkpoint has few different ones.
_SOUND: set[str] = set()


def problem(path: Iterable[str]) -> str | None:
  """Returns what is wrong with a leaf path, or None."""
  parts = tuple(path)
  if not parts:
    return 'the root: an array has no name'
  for part in parts:
    if part in _SOUND:
      continue
    if part in ('', '.', '..') or '/' in part or '\0' in part or '\\' in part or len(part) > LONGEST:
      return f'{shown(parts)}: the name {part[:80]!r} cannot be stored'
    if not part.isprintable():
      return f'{shown(parts)}: the name {part[:80]!r} has characters that cannot be shown'
    if len(_SOUND) < 100_000:
      _SOUND.add(part)
  return None


def refuse(paths: Iterable[tuple[str, ...]]) -> None:
  """Raises CheckpointError for paths that cannot be stored, or that are one when joined by dots."""
  seen: dict[str, tuple[str, ...]] = {}
  problems = []
  for path in paths:
    found = problem(path)
    if found:
      problems.append(found)
    other = seen.setdefault('.'.join(path), path)
    if other != path:
      problems.append(f'{path} and {other} would have the same stored name')
  if problems:
    raise CheckpointError('names that cannot be stored; rename the attributes:', sorted(problems))


def shown(path: Iterable[str]) -> str:
  """Returns a path as text for messages, with nothing that could fool a terminal."""
  text = '/'.join(path)
  return text if text.isprintable() else repr(text)[1:-1]
