"""Flat names as paths: 'params/Dense_0/kernel' or 'params.Dense_0.kernel'."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.names import shown


def separated(names: Iterable[str], source: Path) -> dict[str, tuple[str, ...]]:
  """Returns {name: path}: cut at slashes if any name has one, else at dots."""
  listed = list(names)
  between = '/' if any('/' in name for name in listed) else '.'
  found = {name: tuple(name.split(between)) for name in listed}
  wrong = [shown((name,)) for name, parts in found.items() if '' in parts]
  if wrong:
    raise CheckpointError(f'{source}: names that are no paths; write the keys as params{between}Dense_0{between}kernel:',
                          sorted(wrong))
  return found


def nested(flat: Mapping[tuple[str, ...], Any], source: Path) -> dict[str, Any]:
  """Returns nested dicts; raises CheckpointError where an array and a level have one name."""
  tree: dict[str, Any] = {}
  for path, value in flat.items():
    node = tree
    for part in path[:-1]:
      node = node.setdefault(part, {})
      if not isinstance(node, dict):
        raise CheckpointError(f'{source}: {shown(path)} lies below an array')
    if path[-1] in node:
      raise CheckpointError(f'{source}: {shown(path)} is there twice, or is both an array and a level')
    node[path[-1]] = value
  return tree
