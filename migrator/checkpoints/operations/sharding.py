"""Orbax's record of how an array was spread over devices, carried through an operation.

It serves restoring without a target only.  Where an operation leaves no exact counterpart there is none,
and the array is restored as a NumPy array then.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def same(found: Sequence[str | None]) -> str | None:
  """Returns the record that all have."""
  return found[0] if found and all(record == found[0] for record in found) else None


def stacked(found: Sequence[str | None], axis: int) -> str | None:
  """The new axis is on every device."""
  return _with_axes(same(found), lambda axes: [*axes[:axis], *[None] * max(0, axis - len(axes)), None, *axes[axis:]])


def taken(found: str | None, axis: int) -> str | None:
  """The axis goes; where it was spread, its record goes too."""
  return _with_axes(found, lambda axes: None if axis < len(axes) and axes[axis] else [*axes[:axis], *axes[axis + 1:]])


def transposed(found: str | None, order: Sequence[int]) -> str | None:
  """The axes move with the array's."""
  return _with_axes(found, lambda axes: [axes[axis] if axis < len(axes) else None for axis in order])


def _with_axes(found: str | None, change: Any) -> str | None:
  if found is None:
    return None
  try:
    record = json.loads(found)
    if record.get('sharding_type') == 'SingleDeviceSharding':
      return found
    axes = change(record['partition_spec'])
  except (ValueError, KeyError, TypeError, AttributeError):
    return None
  if axes is None:
    return None
  return json.dumps({**record, 'partition_spec': axes})
