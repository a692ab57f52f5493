"""Optimizer state: every subtree that has the structure of the parameters is mapped by their rules.

Optax keeps its own containers on both sides, so that only those subtrees change.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.weights import transform
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap, LinenPath, show
from migrator.weights.variables import array_of, leaves, unbox, unflatten

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Parameters:
  """The leaf map of the parameters; prefix: ('params',) where the tree keeps the collection level."""

  leaf_map: LeafMap
  paths: frozenset[Path]
  prefix: Path
  shapes: Mapping[LinenPath, tuple[int, ...]]


def map_optimizer_state(tree: Any, leaf_map: LeafMap, params: Mapping[LinenPath, Any] | None = None,
                        masked: Any = None) -> Any:
  """Returns the optimizer state with every params-shaped subtree renamed as the parameters are.

  Args:
    tree: a live optax state, or its restored form of plain dicts and lists.  Masked parameters
      (MaskedNode, None or {} in their place) are left out of their subtree.
    leaf_map: map of the whole model; only its 'params' part is used.
    params: {('params', ...): array}, to check that concatenated entries have the parameters' shapes.
    masked: what to put in the place of a masked parameter; None leaves it out.

  Returns:
    The same containers; params-shaped subtrees are nested dicts keyed as in nnx.state.

  Raises:
    WeightsError: a subtree that resembles the parameters and lacks some, all paths listed.
  """
  own = leaf_map.collection('params')
  whole = frozenset(own.linen_paths())
  shapes = {path: tuple(value.shape) for path, value in (params or {}).items()}
  choices = [_Parameters(own, frozenset(path[1:] for path in whole), ('params',), shapes),
             _Parameters(own, whole, (), shapes)]
  problems: list[str] = []
  mapped = _Mapping(choices, problems, masked).mapped(tree, ())
  if problems:
    raise WeightsError('the optimizer state does not fit the parameters; convert the checkpoint it was saved '
                       'in, or leave the optimizer out:', sorted(problems))
  return mapped


@dataclasses.dataclass(frozen=True)
class _Mapping:
  choices: list[_Parameters]
  problems: list[str]
  masked: Any

  def mapped(self, node: Any, path: Path) -> Any:
    node = unbox(node)
    if isinstance(node, Mapping):
      found = dict(leaves(node))
      there = set(found) or set(_empty_places(node))
      for choice in self.choices:
        if there and choice.paths.issuperset(there):
          return self._renamed(node, found, choice, path)
      return {name: self.mapped(child, (*path, str(name))) for name, child in node.items()}
    if isinstance(node, tuple) and hasattr(node, '_fields'):
      named = zip(node._fields, node, strict=True)
      return type(node)(*[self.mapped(child, (*path, name)) for name, child in named])
    if isinstance(node, list | tuple):
      return type(node)(self.mapped(child, (*path, str(k))) for k, child in enumerate(node))
    if node is not None:
      self.problems.extend(_strays(node, self.choices, path))
    return node

  def _renamed(self, node: Mapping[str, Any], found: Mapping[Path, Any], choice: _Parameters,
               path: Path) -> dict[Any, Any]:
    empty = set(_empty_places(node))
    renamed: dict[Any, Any] = {}
    for rule in choice.leaf_map:
      parts = {source: source[len(choice.prefix):] for source in rule.linen}
      missing = [part for part in parts.values() if part not in found]
      if len(missing) == len(parts) and all(_covered(part, empty) for part in missing):
        if self.masked is not None:
          renamed[rule.nnx] = self.masked
        continue
      self.problems.extend(f'{show((*path, *part))} is missing beside other parameters' for part in missing)
      if missing:
        continue
      values = {source: array_of(found[part], (*path, *part)) for source, part in parts.items()}
      self.problems.extend(_other_shapes(rule.axis, values, choice, path))
      renamed.update(transform.forward(LeafMap((rule,)), values))
    return unflatten(renamed)


def _other_shapes(axis: int | None, values: Mapping[LinenPath, Any], choice: _Parameters,
                  path: Path) -> list[str]:
  """Statistics of another shape (factored ones) cannot be concatenated as the parameters are."""
  if axis is None:
    return []
  return [f'{show(path)}: {show(source)} has shape {tuple(value.shape)}, the parameter '
          f'{choice.shapes[source]}; NNX concatenates it, and this statistic has no exact counterpart there'
          for source, value in values.items()
          if source in choice.shapes and tuple(value.shape) != choice.shapes[source]]


def _empty_places(node: Any, path: Path = ()) -> Iterator[Path]:
  """Yields the paths that hold nothing: MaskedNode, None, {}."""
  node = unbox(node)
  if node is None or (isinstance(node, Mapping | list | tuple) and not node):
    yield path
  elif isinstance(node, Mapping):
    for name, child in node.items():
      yield from _empty_places(child, (*path, str(name)))


def _covered(path: Path, masked: set[Path]) -> bool:
  return any(path[:depth] in masked for depth in range(1, len(path) + 1))


def _strays(value: Any, choices: list[_Parameters], path: Path) -> list[str]:
  """A leaf outside every params-shaped subtree must not end like a parameter: its tree is damaged."""
  scalar = not getattr(value, 'shape', ())
  for depth in range(1, len(path)):
    suffix = path[depth:]
    if any(suffix in choice.paths for choice in choices) and not (scalar and len(suffix) == 1):
      return [f'{show(path)} is named like a parameter, but {show(path[:depth])} has other entries too']
  return []
