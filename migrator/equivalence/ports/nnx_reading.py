"""The NNX model as a tree: weights by their path in nnx.state, modules by class."""
from __future__ import annotations

from typing import Any

from flax import nnx

from migrator.equivalence.ports.tree import LEAF, USER, Leaf, Node, Path
from migrator.weights import nnx_leaves
from migrator.weights.errors import WeightsError
from rewrites.record import Layer


def read(model: nnx.Module) -> Node:
  """Returns the tree of an NNX model; shared variables lie at their path in nnx.state."""
  modules = {nnx_leaves.plain(path): node for path, node in nnx.iter_graph(model)
             if isinstance(node, nnx.Module) and not isinstance(node, nnx.List | nnx.Dict)}
  found = [_leaf(path, variable) for path, variable in nnx_leaves.weights(model).items()]
  return _module((), (), found, modules)


def _leaf(path: Path, variable: nnx.Variable) -> Leaf:
  shape, dtype = nnx_leaves.shape_and_dtype(variable, path)
  try:
    collection = nnx_leaves.collection_of(variable)
  except WeightsError:
    collection = type(variable).__name__
  return Leaf((), (path,), shape, dtype, collection)


def _module(path: Path, name: Path, leaves: list[Leaf], modules: dict[Path, Any]) -> Node:
  inside: dict[Path, list[Leaf]] = {}
  for leaf in leaves:
    inside.setdefault(_next(leaf.paths[0], len(path), modules), []).append(leaf)
  children = []
  for place, group in inside.items():
    below = place[len(path):]
    if place == group[0].paths[0]:
      children.append(Node(place, below, LEAF, tuple(group)))
    else:
      children.append(_module(place, below, group, modules))
  record = record_of(modules.get(path))
  if record is None or record.children:
    return Node(path, name, USER, tuple(leaves), tuple(children))
  named = tuple(Leaf(leaf.paths[0][len(path):], leaf.paths, leaf.shape, leaf.dtype, leaf.collection)
                for leaf in leaves)
  return Node(path, name, record.nnx.rsplit('.', 1)[-1], named, tuple(children))


def _next(path: Path, depth: int, modules: dict[Path, Any]) -> Path:
  """Returns the path of the next module on the way to a leaf, or of the leaf: lists are no modules."""
  return next((path[:size] for size in range(depth + 1, len(path)) if path[:size] in modules), path)


def record_of(module: Any) -> Layer | None:
  """Returns the record of an NNX layer, or of a class of the generated helper file."""
  from rewrites import registry
  for kind in type(module).__mro__:
    name = f'flax.nnx.{kind.__name__}' if kind.__module__.startswith('flax.') else kind.__name__
    if kind is not nnx.Module and (found := registry.layer_for_nnx(name)):
      return found[0]
  return None
