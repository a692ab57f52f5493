"""Weights of other modules read by their path: `self.encoder.variables['params']['embed']['embedding']`."""
from __future__ import annotations

import ast
from typing import Any

from . import oracle
from .values import Array, Instance, Unknown, Value, VariableRef, VariableTree


def tree_of(it: Any, owner: Value, collection: Value) -> VariableTree | None:
  """Returns the parameters of a module other than the one under analysis."""
  subject = getattr(it, 'subject', None)
  if collection != 'params' or not isinstance(owner, Instance) or owner is subject:
    return None
  return VariableTree(owner)


def of_tree(it: Any, tree: VariableTree, name: Value, node: ast.Subscript) -> Value:
  """Returns the module or the weight that a name stands for below a module."""
  if not isinstance(name, str):
    return Unknown(f'{ast.unparse(node)} is read by a computed name', node.lineno)
  if tree.owner.source is None:
    return _weight(it, tree.owner, name, node)
  from .frames import Frame
  from .modules import ensure_setup

  ensure_setup(it, tree.owner, Frame({}, tree.owner.source.module, tree.owner.source.node))
  found = tree.owner.attributes.get(name, tree.owner.fields.get(name))
  if isinstance(found, Instance):
    return VariableTree(found)
  if isinstance(found, VariableRef):
    found = found.value
  return found if isinstance(found, Array) else Unknown(f'{ast.unparse(node)} is not followed', node.lineno)


def _weight(it: Any, layer: Instance, name: str, node: ast.Subscript) -> Value:
  sizes = {('flax.linen.Embed', 'embedding'): ('num_embeddings', 'features')}.get((layer.layer or '', name))
  if sizes is None:
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)
  from .expressions import as_size

  dims = tuple(as_size(it, layer.fields.get(size)) for size in sizes)
  return Array(dims) if all(map(oracle.is_dim, dims)) else Unknown(f'{ast.unparse(node)} is not followed', node.lineno)
