"""The plan of a conversion: which leaves are linked, which get a new index entry only, which are computed."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.checkpoints import names
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression, Given, Literal, Source, expression, sources
from migrator.checkpoints.operations.indexed import indexed
from migrator.checkpoints.storage import Stored, relabelled

Names = tuple[str, ...]
# Bytes of decoded and encoded values in memory.
BUDGET = 96 << 20


@dataclasses.dataclass(frozen=True)
class Step:
  """How one leaf of the target comes about.

  how: 'kept' (only its name changes), 'indexed' (an operation without touching bytes), 'encoded'
  (decoded, computed, encoded) or 'new' (a given value).  stored: the array by index, else None: it is encoded.
  """

  path: Names
  value: Expression
  how: str
  stored: Stored | None


@dataclasses.dataclass(frozen=True)
class Plan:
  """All leaves of the target; version: of zarr."""

  steps: tuple[Step, ...]
  version: int

  def total(self, how: str) -> int:
    """Returns the bytes of the values (of the target) that come about in one way."""
    return sum(step.value.nbytes for step in self.steps if step.how == how)

  def count(self, how: str) -> int:
    """Returns the number of leaves that come about in one way."""
    return sum(1 for step in self.steps if step.how == how)


def plan(content: Mapping[Names, Any], reencode: bool = False) -> Plan:
  """Returns how each leaf of a target in zarr chunks comes about; nothing is read.

  Args:
    content: {path: expression or array}.
    reencode: compute whatever is more than a rename, to get chunks as a fresh save has them.

  Raises:
    CheckpointError: names that cannot be stored.
  """
  if not content:
    raise CheckpointError('there is no array to write')
  names.refuse(content)
  values = {path: expression(value) for path, value in content.items()}
  version = _version(list(values.values()))
  return Plan(tuple(_step(path, value, version, reencode) for path, value in values.items()), version)


def _version(values: Sequence[Expression]) -> int:
  """Every array of an item has one version: that of most bytes."""
  bytes_of = {2: 0, 3: 0}
  for value in values:
    for leaf in sources(value):
      bytes_of[leaf.stored.version] += leaf.nbytes
  return 3 if bytes_of[3] > bytes_of[2] else 2


def _step(path: Names, value: Expression, version: int, reencode: bool) -> Step:
  if isinstance(value, Literal):
    return Step(path, value, 'new', None)
  if isinstance(value, Given):
    return Step(path, value, 'new', relabelled(value.stored, version))
  kept = isinstance(value, Source)
  found = indexed(value) if kept or not reencode else None
  if found is None or found.version != version:
    return Step(path, value, 'encoded', None)
  return Step(path, value, 'kept' if kept else 'indexed', found)
