"""What an Orbax item holds besides arrays: sequences, empty entries and texts."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from migrator.checkpoints import names
from migrator.checkpoints.errors import CheckpointError

Names = tuple[str, ...]
_SEQUENCE, _DICT = 1, 2
STRINGS = '_strings.json'
_EMPTY = ((dict, 'Dict'), (list, 'List'), (tuple, 'Tuple'))


@dataclasses.dataclass(frozen=True)
class Nodes:
  """typed: every leaf path in order, positions of sequences as ints.  others: leaves that are no arrays."""

  typed: Mapping[Names, tuple[str | int, ...]]
  others: Mapping[Names, Any]

  def keys(self, path: Names) -> list[dict[str, Any]]:
    """Returns the entry of a path in `_METADATA`."""
    return [{'key': str(part), 'key_type': _SEQUENCE if isinstance(part, int) else _DICT} for part in self.typed[path]]

  def entry(self, path: Names) -> dict[str, Any]:
    """Returns the value entry of a leaf that is no array."""
    value = self.others[path]
    if isinstance(value, str):
      return {'value_type': 'string', 'skip_deserialize': False}
    kind = next((name for kind, name in _EMPTY if isinstance(value, kind)), 'None')
    return {'value_type': kind, 'skip_deserialize': True}

  def texts(self) -> dict[str, str]:
    """Returns the content of `_strings.json`."""
    return {'.'.join(path): value for path, value in self.others.items() if isinstance(value, str)}


def split(content: Mapping[tuple[str | int, ...], Any]) -> tuple[dict[Names, Any], Nodes]:
  """Returns (the arrays of a target, everything that is no array).

  Raises:
    CheckpointError: names that cannot be stored, a value of another kind, or an empty level that is none.
  """
  typed = {tuple(map(str, path)): path for path in content}
  if len(typed) != len(content):
    raise CheckpointError('a position and a name are the same text; the target cannot keep them apart')
  values = {tuple(map(str, path)): value for path, value in content.items()}
  arrays = {path: value for path, value in values.items() if hasattr(value, 'dtype')}
  others = {path: value for path, value in values.items() if path not in arrays}
  names.refuse(typed)
  wrong = [f'{names.shown(path)}: {type(value).__name__}' for path, value in others.items()
           if not (value is None or isinstance(value, str) or (isinstance(value, dict | list | tuple) and not value))]
  if wrong:
    raise CheckpointError('values that an Orbax item has no place for:', sorted(wrong))
  return arrays, Nodes(typed, others)
