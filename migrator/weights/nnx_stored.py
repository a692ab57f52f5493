"""NNX checkpoints as they are stored: of nnx.State or pure dicts, with or without an optimizer and random streams."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.expressions import Expression, Source

VALUE = 'value'
Path = tuple[str, ...]


def pure(checkpoint: Checkpoint) -> dict[Path, Expression]:
  """Returns {path: array}, the level 'value' of stored variables left out."""
  found = checkpoint.leaves()
  variables = _variables(found)
  if all(path[-1] == VALUE for path in variables):
    return {path[:-1] if path in variables else path: value for path, value in found.items()}
  return found


def _variables(found: Mapping[Path, Any]) -> set[Path]:
  """The leaves of model and optimizer; further entries of a train state are stored as they are."""
  if 'model' in {path[0] for path in found}:
    return {path for path in found if path[0] in ('model', 'optimizer')}
  return set(found)


def random_streams(found: Mapping[Path, Expression]) -> set[Path]:
  """Returns the leaves of random streams: a typed key, and the count beside it."""
  keys = {path[:-1] for path, value in found.items()
          if path[-1] == 'key' and isinstance(value, Source) and value.stored.extra and (*path[:-1], 'count') in found
          and _is_count(found[(*path[:-1], 'count')])}
  return {(*node, name) for node in keys for name in ('key', 'count')}


def _is_count(value: Expression) -> bool:
  return value.dtype.name == 'uint32' and value.shape == ()
