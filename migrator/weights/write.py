"""Writes a converted tree: into a staging folder beside the target, then one rename."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import show
from migrator.weights.variables import leaves

Writer = Callable[[Path, dict[str, Any]], None]


def refuse_target(target: Path) -> None:
  """Raises WeightsError if the target exists or its folder does not."""
  if os.path.lexists(target):
    raise WeightsError(f'{target}: exists already; remove it or name another target')
  if not target.parent.is_dir():
    raise WeightsError(f'{target.parent}: there is no such folder; create it')


def write(target: Path, tree: dict[str, Any], writer: Writer) -> None:
  """Writes the tree with `writer`; the target appears complete or not at all."""
  refuse_target(target)
  refuse_names(tree)
  staging = Path(tempfile.mkdtemp(prefix=f'.{target.name}.', suffix='.linen2nnx-tmp', dir=target.parent))
  try:
    writer(staging / 'new', tree)
    refuse_target(target)
    os.rename(staging / 'new', target)
  finally:
    shutil.rmtree(staging, ignore_errors=True)


def orbax(path: Path, tree: dict[str, Any]) -> None:
  """Writes an Orbax item that StandardCheckpointer restores."""
  import orbax.checkpoint as ocp
  empty = [show(leaf) for leaf, value in leaves(tree) if 0 in value.shape]
  if empty:
    raise WeightsError('Orbax stores no arrays without elements; write to a .msgpack file instead:',
                       sorted(empty))
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path.resolve(), tree)


def msgpack(path: Path, tree: dict[str, Any]) -> None:
  """Writes a flax.serialization file."""
  from flax import serialization
  with path.open('wb') as file:
    file.write(serialization.msgpack_serialize(tree, in_place=False))
    file.flush()
    os.fsync(file.fileno())


def refuse_names(tree: dict[str, Any]) -> None:
  """Raises WeightsError for names that a store cannot keep apart: Orbax joins the parts with dots."""
  seen: dict[str, tuple[str, ...]] = {}
  problems = []
  for path, _ in leaves(tree):
    problems += [f'{show(path)}: the name {part!r} cannot be stored' for part in path
                 if part in ('', '.', '..') or '/' in part or '\0' in part]
    other = seen.setdefault('.'.join(path), path)
    if other != path:
      problems.append(f'{path} and {other} would have the same stored name')
  if problems:
    raise WeightsError('names that cannot be stored; rename the attributes:', sorted(problems))


def size(tree: dict[str, Any]) -> tuple[int, int]:
  """Returns (number of arrays, number of bytes)."""
  arrays = [np.asarray(value) for _, value in leaves(tree)]
  return len(arrays), sum(array.nbytes for array in arrays)
