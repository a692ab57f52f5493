"""Layers that are separate on one side and stacked on the other: 'layers/0..N' and one array with a new axis.

It changes the converted tree: the model, and everything in it that is shaped like the parameters.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.checkpoints import expressions
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import show

Path = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Restructuring:
  """node: parts of the NNX path that holds the layers.  axis: of the stacked array.  stacked: towards one array."""

  node: tuple[str, ...]
  axis: int
  stacked: bool


def parse(text: str, stacked: bool) -> Restructuring:
  """Returns what 'decoder.layers' or 'decoder/layers:1' asks for; axis 0 where none is given."""
  node, between, axis = text.rpartition(':') if ':' in text else (text, '', '0')
  parts = tuple(part for part in node.replace('/', '.').split('.') if part)
  if not parts or not axis.lstrip('-').isdecimal():
    raise WeightsError(f'{text!r} is no path with an axis; write it as decoder.layers or decoder.layers:1')
  return Restructuring(parts, int(axis), stacked)


def restructured(content: Mapping[Path, Any], changes: Sequence[Restructuring], required: bool = False) -> dict[Path, Any]:
  """Returns the leaves with layers stacked or taken apart, one change after another.

  Args:
    required: a change that finds nothing is an error (in the model; an optimizer may lack it).

  Raises:
    WeightsError: nothing is there, positions are missing, or layers differ in shape or dtype.
  """
  found = dict(content)
  for change in changes:
    before = len(found)
    made = _stacked(found, change) if change.stacked else _unstacked(found, change)
    if required and made.keys() == found.keys() and len(made) == before:
      there = 'with numbered layers below it' if change.stacked else 'with arrays below it'
      raise WeightsError(f'the converted model has no {show(change.node)} {there}; give the path as in the NNX model')
    found = made
  return found


def _stacked(content: Mapping[Path, Any], change: Restructuring) -> dict[Path, Any]:
  layers: dict[Path, dict[int, Any]] = {}
  made: dict[Path, Any] = {}
  for path, value in content.items():
    end = _end(path, change.node)
    if end is None or end >= len(path) - 1 or not str(path[end]).isdecimal():
      made[path] = value
      continue
    layers.setdefault((*path[:end], *path[end + 1:]), {})[int(path[end])] = value
    made[(*path[:end], *path[end + 1:])] = None
  problems = []
  for path, found in layers.items():
    if all(value is None for value in found.values()):
      made[path] = None  # masked in every layer
    elif sorted(found) != list(range(len(found))):
      problems.append(f'{show(path)}: the layers {", ".join(map(str, sorted(found)))} have it')
    else:
      made[path] = expressions.stack([found[number] for number in range(len(found))], change.axis)
  counts = {len(found) for found in layers.values()}
  if problems or len(counts) > 1:
    raise WeightsError(f'the layers below {show(change.node)} are not alike and cannot be stacked:', sorted(problems) or [
      f'{show(path)}: {len(found)} layers have it' for path, found in sorted(layers.items())])
  return made


def _unstacked(content: Mapping[Path, Any], change: Restructuring) -> dict[Path, Any]:
  made: dict[Path, Any] = {}
  sizes: dict[Path, int] = {}
  masked: list[tuple[Path, int]] = []
  for path, value in content.items():
    end = _end(path, change.node)
    if end is None or end >= len(path):
      made[path] = value
      continue
    if value is None:
      masked.append((path, end))
      continue
    if not -value.ndim <= change.axis < value.ndim:
      raise WeightsError(f'{show(path)}: {expressions.described(value)} has no axis {change.axis} to take layers from')
    sizes[path] = value.shape[change.axis]
    for number in range(sizes[path]):
      made[(*path[:end], str(number), *path[end:])] = expressions.take(value, change.axis, number)
  for path, end in masked:
    made |= {(*path[:end], str(number), *path[end:]): None for number in range(max(sizes.values(), default=0))}
  if len(set(sizes.values())) > 1:
    raise WeightsError(f'the arrays below {show(change.node)} have different numbers of layers on axis {change.axis}:',
                       [f'{show(path)}: {size}' for path, size in sorted(sizes.items())])
  return made


def _end(path: Path, node: tuple[str, ...]) -> int | None:
  """Returns the position behind the node's parts in a path; None where they are not in it."""
  parts = tuple(map(str, path))
  for start in range(len(parts) - len(node) + 1):
    if parts[start:start + len(node)] == node:
      return start + len(node)
  return None
