"""A small weight map made of the records alone, both ways; independent of migrator.weights on purpose."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, traverse_util

from rewrites import registry
from rewrites.record import Concatenate, Layer

Flat = dict[tuple, jax.Array]
Rows = list[tuple[tuple[tuple[str, ...], ...], tuple, int]]  # Linen paths, NNX path, axis of concatenation

KINDS = {'params': nnx.Param, 'batch_stats': nnx.BatchStat, 'cache': nnx.Cache}


def record_of(module: nnx.Module) -> Layer | None:
  name = type(module).__name__
  found = registry.layer_for_nnx(name) or registry.layer_for_nnx(f'flax.nnx.{name}')
  return found[0] if found else None


def rows(record: Layer, module: nnx.Module, paths: set[tuple[str, ...]]) -> Rows:
  """Returns which Linen leaves (paths in this layer) are which NNX leaf; each Linen path is in one row."""
  left, found = set(paths), []
  for child in record.children:
    for head in sorted({path[0] for path in left}):
      place = _position(child, head)
      if place is None:
        continue
      below = getattr(module, child.nnx) if not child.many else getattr(module, child.nnx)[place[-1]]
      inner = {path[1:] for path in left if path[0] == head}
      left -= {(head, *path) for path in inner}
      for linen, target, axis in rows(record_of(below), below, inner):
        found.append((tuple((head, *path) for path in linen), (*place, *target), axis))
  for row in record.parameters:
    if isinstance(row, Concatenate):
      sources = tuple(tuple(path.split('/')) for path in row.linen)
      assert set(sources) <= left, f'{record.linen[0]}: {set(sources) - left} is not there'
      left -= set(sources)
      found.append((sources, tuple(row.nnx.split('/')), row.axis))
      continue
    start = tuple(row.linen.split('/'))
    for path in sorted(path for path in left if path[: len(start)] == start):
      left.remove(path)
      found.append(((path,), (*row.nnx.split('/'), *path[len(start) :]), 0))
  return found + [((path,), path, 0) for path in sorted(left)]


def _position(child: Any, head: str) -> tuple | None:
  if not child.many:
    return (child.nnx,) if head == child.linen_name else None
  start = child.linen_name.partition('{}')[0]
  return (child.nnx, int(head[len(start) :])) if head.startswith(start) else None


def linen_leaves(variables: dict[str, Any]) -> Flat:
  return {
    path: leaf for tree in variables.values() for path, leaf in traverse_util.flatten_dict(tree).items()
  }


def collection_of(variables: dict[str, Any]) -> dict[tuple, str]:
  return {path: name for name, tree in variables.items() for path in traverse_util.flatten_dict(tree)}


def to_nnx(table: Rows, leaves: Flat) -> Flat:
  return {
    target: leaves[linen[0]] if len(linen) == 1 else jnp.concatenate([leaves[path] for path in linen], axis)
    for linen, target, axis in table
  }


def to_linen(table: Rows, leaves: Flat, sizes: dict[tuple, int]) -> Flat:
  """Splits what was concatenated; `sizes` has the Linen size along the axis for each Linen path."""
  out: Flat = {}
  for linen, source, axis in table:
    if len(linen) == 1:
      out[linen[0]] = leaves[source]
      continue
    ends = [sum(sizes[path] for path in linen[:end]) for end in range(1, len(linen))]
    out.update(zip(linen, jnp.split(leaves[source], ends, axis), strict=True))
  return out


def weights(module: nnx.Module) -> dict[tuple, nnx.Variable]:
  """Returns the variables that hold weights or statistics, by path; not those of random streams."""
  state = nnx.to_flat_state(nnx.state(module))
  return {path: leaf for path, leaf in state if isinstance(leaf, tuple(KINDS.values()))}
