"""Writes a converted tree: an Orbax item by index where that serves, or a flax msgpack file."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from migrator.checkpoints import names, staging
from migrator.checkpoints.write import Written, write_orbax
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import show
from migrator.weights.variables import leaves, unflatten


def orbax(target: Path, tree: dict[str, Any], **options: Any) -> Written:
  """Writes an Orbax item that StandardCheckpointer restores; options as `write_orbax`."""
  content = dict(leaves(tree))
  empty = [show(leaf) for leaf, value in content.items() if 0 in value.shape]
  if empty:
    raise WeightsError('Orbax stores no arrays without elements; write to a .msgpack file instead:',
                       sorted(empty))
  return write_orbax(content, target, **options)


def msgpack(target: Path, tree: dict[str, Any]) -> Written:
  """Writes a flax.serialization file; every array is read."""
  from flax import serialization
  content = dict(leaves(tree))
  names.refuse(content)
  with staging.staged(target) as place:
    arrays = {path: np.asarray(value) for path, value in content.items()}
    staging.write_file(place, serialization.msgpack_serialize(unflatten(arrays), in_place=False))
    new = place.stat().st_size
  return Written(len(arrays), sum(array.nbytes for array in arrays.values()), 0, new, (), 'index')
