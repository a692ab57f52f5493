"""Linen variables as flat leaves and back: dicts, FrozenDicts, boxes such as nn.Partitioned."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from migrator.checkpoints.expressions import Expression, Source
from migrator.weights import scalars
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LinenPath, show


def flatten(variables: Any) -> dict[LinenPath, Any]:
  """Returns {path with collection: array} of a variables dict; boxes are opened, empty levels vanish.

  Arrays are numpy or jax arrays, or abstract ones (anything with shape and dtype); Python numbers
  (a parameter may be one) become numpy scalars of JAX's dtype.

  Raises:
    WeightsError: not a mapping, a key that is no text, or a leaf that is no array.
  """
  if not isinstance(variables, Mapping):
    found = type(variables).__name__
    raise WeightsError(f'expected a variables dict such as {{"params": ...}}, found {found}')
  flat: dict[LinenPath, Any] = {}
  for path, value in leaves(variables):
    flat[path] = array_of(value, path)
    if len(path) == 1:
      raise WeightsError(f'{show(path)}: an array stands where a collection (a dict) is expected; '
                         'pass the whole variables dict, {"params": ...}')
  return flat


def unflatten(flat: Mapping[tuple, Any]) -> dict[Any, Any]:
  """Returns nested dicts; keys keep their type."""
  tree: dict[Any, Any] = {}
  for path, value in flat.items():
    node = tree
    for part in path[:-1]:
      node = node.setdefault(part, {})
    node[path[-1]] = value
  return tree


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
  """Yields (path, value) of all leaves of nested mappings, lists and tuples; None and empty levels vanish."""
  tree = unbox(tree)
  if tree is None:
    return
  if isinstance(tree, Mapping):
    for key in tree:
      if not isinstance(key, str | int):
        raise WeightsError(f'{show(path) or "the root"}: key {key!r} is no text')
      yield from leaves(tree[key], (*path, str(key)))
  elif isinstance(tree, tuple) and hasattr(tree, '_fields'):
    for name, value in zip(tree._fields, tree, strict=True):
      yield from leaves(value, (*path, name))
  elif isinstance(tree, list | tuple):
    for position, value in enumerate(tree):
      yield from leaves(value, (*path, str(position)))
  else:
    yield path, tree


def unbox(value: Any) -> Any:
  """Opens boxes (nn.Partitioned, nn.LogicallyPartitioned, own ones) down to the array."""
  while hasattr(value, 'unbox') and not hasattr(value, 'shape'):
    value = _open(value)
  return value


def _open(box: Any) -> Any:
  """Reads the boxed value as it is: `unbox()` would apply a sharding constraint under a mesh."""
  return box.value if hasattr(box, 'value') else box.unbox()


def array_of(value: Any, path: tuple) -> Any:
  """Returns the leaf as an array, unchanged if it is one.  Raises WeightsError for anything else."""
  if isinstance(value, Source) and value.stored.kind == 'scalar':
    return _narrowed(value, path)
  if hasattr(value, 'shape') and hasattr(value, 'dtype'):
    return value
  if isinstance(value, bool | int | float | complex):
    import jax.numpy as jnp
    import numpy as np
    return np.asarray(jnp.asarray(value))
  raise WeightsError(f'{show(path)}: {type(value).__name__} is no array; remove it or convert it before')


def _narrowed(value: Source, path: tuple) -> Expression:
  """A Python number of a checkpoint, kept there in its widest type, in the type JAX gives it."""
  narrow = {'i': 'int32', 'u': 'int32', 'f': 'float32', 'c': 'complex64'}.get(value.dtype.kind)
  number = scalars.of(value)
  if narrow == 'int32' and not -2**31 <= number < 2**31:
    raise WeightsError(f'{show(path)}: {number} is no 32-bit number; JAX has no other by default')
  return scalars.given(number, narrow or value.dtype.name)
