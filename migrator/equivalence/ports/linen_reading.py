"""The Linen model as a tree: variables by shape, modules by the class that a call showed."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn

from migrator.equivalence.ports.tree import LEAF, USER, Leaf, Node
from migrator.weights import layer_rules
from rewrites.record import Layer

LinenPath = tuple[str, ...]


@contextlib.contextmanager
def watched_classes() -> Iterator[dict[LinenPath, type]]:
  """Notes the class of every module that is called inside the context, by path, in the order of calls."""
  seen: dict[LinenPath, type] = {}

  def note(call: Any, args: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
    seen.setdefault(tuple(context.module.path), type(context.module))
    return call(*args, **keywords)

  with nn.intercept_methods(note):
    yield seen


def record_of(kind: type | None) -> Layer | None:
  """Returns the record of a Linen layer or of a class made from one (a subclass, a lifted layer)."""
  from rewrites import registry
  bases = kind.__mro__ if kind is not None else ()
  names = (f'{base.__module__}.{base.__qualname__}' for base in bases)
  return next((record for name in names if (record := _canonical(registry, name)) is not None), None)


def _canonical(registry: Any, name: str) -> Layer | None:
  # flax.linen.linear.Dense is known as flax.linen.Dense.
  if not name.startswith('flax.linen.'):
    return None
  layer: Layer | None = registry.layer_for('flax.linen.' + name.rsplit('.', 1)[-1])
  return layer


def read(variables: Mapping[LinenPath, Any], classes: Mapping[LinenPath, type]) -> Node:
  """Returns the tree of a Linen model.

  Args:
    variables: every variable by path with its collection: ('params', 'Dense_0', 'kernel').
    classes: class of every module that was called.
  """
  leaves = [((collection, *path), array) for (collection, *path), array in sorted(variables.items())]
  return _module((), (), leaves, classes)


def _module(path: LinenPath, name: LinenPath, leaves: list[tuple[LinenPath, Any]],
            classes: Mapping[LinenPath, type]) -> Node:
  """leaves: (path with collection, array) of what lies at or below `path`."""
  depth = len(path) + 1
  inside: dict[str, list[tuple[LinenPath, Any]]] = {}
  for leaf, array in leaves:
    inside.setdefault(leaf[depth], []).append((leaf, array))
  children = tuple(_child((*path, part), part, group, classes, depth) for part, group in inside.items())
  flat = [node for child in children for node in (child if isinstance(child, tuple) else (child,))]
  record = record_of(classes.get(path))
  if record is None or record.children:
    return Node(path, name, USER, tuple(leaf for node in flat for leaf in node.leaves), tuple(flat))
  kind = record.nnx.rsplit('.', 1)[-1]
  return Node(path, name, kind, layer_leaves(record, leaves, depth), tuple(flat))


def _child(path: LinenPath, part: str, group: list[tuple[LinenPath, Any]], classes: Mapping[LinenPath, type],
           depth: int) -> Node | tuple[Node, ...]:
  own = [(leaf, array) for leaf, array in group if len(leaf) == depth + 1]
  if not own:
    return _module(path, (part,), group, classes)
  # One name in several collections: a variable of each.
  return tuple(Node(path, (part,), LEAF, (Leaf((), (leaf,), tuple(array.shape), array.dtype, leaf[0]),))
               for leaf, array in own)


def layer_leaves(record: Layer | None, leaves: list[tuple[LinenPath, Any]], depth: int) -> tuple[Leaf, ...]:
  """Returns the leaves of a layer as its record says NNX holds them."""
  arrays = dict(leaves)
  rules, missing = layer_rules.from_linen(record, [(leaf[0], leaf[depth:]) for leaf in arrays])
  if missing:
    rules, _ = layer_rules.from_linen(None, [(leaf[0], leaf[depth:]) for leaf in arrays])
  found = []
  for name, sources, axis in rules:
    paths = tuple((collection, *leaves[0][0][1:depth], *source) for collection, source in sources)
    parts = [arrays[path] for path in paths]
    found.append(Leaf(name, paths, joined_shape([tuple(part.shape) for part in parts], axis), parts[0].dtype,
                      paths[0][0], axis))
  return tuple(found)


def joined_shape(shapes: list[tuple[int, ...]], axis: int | None) -> tuple[int, ...]:
  """Returns the shape of arrays that are concatenated along an axis; None for one array."""
  first = list(shapes[0])
  if axis is not None and -len(first) <= axis < len(first):
    first[axis] = sum(shape[axis] for shape in shapes)
  return tuple(first)


def in_form_of(node: Node, kind: str, variables: Mapping[LinenPath, Any]) -> Node | None:
  """Returns a Linen layer with its leaves as the record of another NNX layer says, or None.

  Linen's LSTMCell and OptimizedLSTMCell hold the same leaves, so a port may use either NNX cell.
  """
  from rewrites import registry
  records = registry.layer_for_nnx(f'flax.nnx.{kind}') or registry.layer_for_nnx(kind)
  paths: list[Any] = [path for leaf in node.leaves for path in leaf.paths]
  leaves = [(path, variables[path]) for path in sorted(paths)]
  if not records or kind == node.kind:
    return None
  return Node(node.path, node.name, kind, layer_leaves(records[0], leaves, len(node.path) + 1), node.children)

