"""Which NNX module is which Linen module, also inside layers: from the manifest, and from where the leaves went."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

LinenPath = tuple[str, ...]
NnxPath = tuple[Any, ...]


def all_modules(known: Mapping[LinenPath, NnxPath], rules: Iterable[Any],
                modules: Collection[NnxPath]) -> dict[LinenPath, NnxPath]:
  """Returns the NNX path of every Linen module that can be placed.

  Args:
    known: what the manifest says.
    rules: of the leaf map; leaves that are carried over as they are place the module that holds them.
    modules: paths of all modules of the NNX model.
  """
  found = dict(known)
  leaves = {rule.linen[0][1:-1]: rule.nnx[:-1] for rule in rules if rule.axis is None}
  for linen, nnx in leaves.items():
    if linen and nnx in modules:
      found.setdefault(linen, nnx)
  inner = {path[:size] for path in found for size in range(1, len(path))}
  for linen in sorted(inner - found.keys(), key=len, reverse=True):
    place = _around([nnx for path, nnx in found.items() if path[:len(linen)] == linen], modules)
    if place and place not in found.values():
      found[linen] = place
  return found


def _around(paths: list[NnxPath], modules: Collection[NnxPath]) -> NnxPath:
  """The innermost module that holds all of these and is none of them."""
  size = min(map(len, paths))
  shared = next((k for k in range(size) if len({path[k] for path in paths}) > 1), size)
  common = paths[0][:shared]
  while common and (common in paths or common not in modules):
    common = common[:-1]
  return common
