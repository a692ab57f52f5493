"""The mapping between two models: the matching, made a leaf map, with every leaf accounted for."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import nnx

from migrator.equivalence.ports import linen_reading, nnx_reading
from migrator.equivalence.ports.errors import AmbiguousMappingError, MappingError
from migrator.equivalence.ports.matching import Matcher, Matching
from migrator.equivalence.ports.pins import Pins
from migrator.equivalence.ports.tree import Leaf, Node, Path, show
from migrator.weights import nnx_leaves
from migrator.weights.leaf_map import LeafMap, NnxPath, Rule
from migrator.weights.leaf_map import order as by_path
from migrator.weights.recognise import STANDARD

LinenPath = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class PortMap:
  """What is what: `leaves` for the arrays, `modules` from Linen paths to NNX paths."""

  leaves: LeafMap
  modules: dict[LinenPath, NnxPath]


def infer(variables: Mapping[LinenPath, Any], classes: Mapping[LinenPath, type], model: nnx.Module,
          mapping: Mapping[str, str] | None = None) -> PortMap:
  """Returns which NNX leaf is which Linen variable.

  Args:
    variables: every Linen variable by path with its collection (arrays or shapes).
    classes: class of every Linen module that is called, in the order of calls.
    model: the NNX model.
    mapping: what the user says: paths of Linen modules or variables -> paths in the NNX model.

  Raises:
    AmbiguousMappingError: several modules fit, and nothing tells them apart.
    MappingError: leaves without counterpart or with another shape, dtype or collection.
  """
  linen, nnx_tree = linen_reading.read(variables, classes), nnx_reading.read(model)
  matcher = Matcher(lambda node, kind: linen_reading.in_form_of(node, kind, variables))
  pins = Pins(mapping or {}, linen, nnx_tree)
  for one, other in pins.pairs:
    matcher.pair(one, other)
  matcher.pair(pins.without(linen, 0), pins.without(nnx_tree, 1))
  _refuse_ambiguity(matcher.found, list(classes))
  problems = [*_one_sided(matcher.found), *(text for pair in matcher.found.leaves for text in _unequal(*pair))]
  if problems:
    raise MappingError('Linen and NNX do not hold the same leaves:', sorted(problems))
  rules = [Rule(other.paths[0], one.paths, one.axis) for one, other in matcher.found.leaves]  # type: ignore[arg-type]
  modules = {**_inside_layers(matcher.found, model), **{
    tuple(map(str, one)): other for one, other in matcher.found.modules}}
  return PortMap(LeafMap(tuple(sorted(rules, key=lambda rule: by_path(rule.nnx)))), modules)


def _inside_layers(found: Matching, model: nnx.Module) -> dict[LinenPath, NnxPath]:
  """Returns the modules inside layers that were matched as a whole: those that hold leaves of the same name."""
  modules = {nnx_leaves.plain(path) for path, _ in nnx.iter_modules(model)}
  held = [(tuple(map(str, one.paths[0][1:-1])), other.paths[0][:-1]) for one, other in found.leaves
          if len(one.paths) == 1]
  return {linen: own for linen, own in held if linen and own in modules}


def _one_sided(found: Matching) -> list[str]:
  linen = [f'{leaf}: only Linen has it{_near(found, leaf, 0)}' for leaf in found.linen_only]
  return linen + [f'{leaf}: only NNX has it{_near(found, leaf, 1)}' for leaf in found.nnx_only]


def _near(found: Matching, leaf: Leaf, side: int) -> str:
  """Returns the counterpart of the module that holds a leaf, where there is one."""
  path = leaf.paths[0][1:] if side == 0 else leaf.paths[0]
  pairs = {pair[side]: pair[1 - side] for pair in found.modules}
  holder = next((path[:size] for size in range(len(path) - 1, 0, -1) if path[:size] in pairs), None)
  if holder is None:
    return ''
  return f' ({show(holder)} is {"NNX" if side == 0 else "Linen"} {show(pairs[holder])})'


def _unequal(linen: Leaf, nnx: Leaf) -> list[str]:
  if linen.shape != nnx.shape or linen.dtype != nnx.dtype:
    return [f'Linen {linen} is NNX {nnx}: other shape or dtype']
  # Any NNX type may stand for a collection of the user's own.
  if linen.collection != nnx.collection and (
      'params' in (linen.collection, nnx.collection) or {linen.collection, nnx.collection} <= STANDARD):
    return [f'Linen {linen} is NNX {nnx}: collection {linen.collection} in Linen, {nnx.collection} in NNX']
  return []


def _refuse_ambiguity(found: Matching, calls: list[LinenPath]) -> None:
  if not found.ambiguous:
    return
  order: dict[Path, int] = {path: place for place, path in enumerate(calls)}
  suggested: dict[str, str] = {}
  lines = []
  for ones, others in found.ambiguous:
    lines.append(f'Linen {_listed(ones)}  may be any of  NNX {_listed(others)}')
    called = sorted(ones, key=lambda node: order.get(node.path, len(order)))
    suggested |= {show(one.path): show(other.path) for one, other in zip(called, others, strict=True)}
  lines.append('say which is which; if the order of the calls and of the attributes is the same, it is '
               f'mapping={suggested!r}')
  raise AmbiguousMappingError('shapes, layers and names leave open what is what:', lines)


def _listed(nodes: list[Node]) -> str:
  return ', '.join(show(node.path) for node in nodes)

