"""The weights of an NNX model: its variables without random streams, their paths, sharing and collections."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flax import nnx

from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import NnxPath, show

# Keys and counters of random streams belong to a run, not to the weights.
RANDOM = (nnx.RngKey, nnx.RngCount)


def weights(model: Any) -> dict[NnxPath, nnx.Variable]:
  """Returns {path as in nnx.state: variable} of a module or a State, without random variables.

  Plain arrays among the attributes (the mask of a convolution) are constructor arguments, no
  weights: Linen keeps them out of its variables, and so they are left out here.
  """
  state = model if isinstance(model, nnx.State) else nnx.state(model)
  return {plain(path): variable for path, variable in nnx.to_flat_state(state)
          if isinstance(variable, nnx.Variable) and not isinstance(variable, RANDOM)}


def aliases(model: Any) -> dict[NnxPath, NnxPath]:
  """Returns {other path: path in nnx.state} of the variables that several attributes share.

  A State has no attributes, so that nothing is found for one.
  """
  if isinstance(model, nnx.State):
    return {}
  canonical = {id(variable): path for path, variable in weights(model).items()}
  return {path: canonical[id(variable)] for path, variable in attribute_paths(model)
          if id(variable) in canonical and canonical[id(variable)] != path}


def classes(model: Any) -> dict[NnxPath, str]:
  """Returns {path: class} of the modules of a model: 'zoo.mlp:Mlp', or 'flax.nnx.Linear'; nothing for a State."""
  if isinstance(model, nnx.State):
    return {}
  return {plain(path): _class_name(type(module)) for path, module in nnx.iter_modules(model)}


def _class_name(kind: type) -> str:
  public = getattr(nnx, kind.__name__, None) is kind
  return f'flax.nnx.{kind.__name__}' if public else f'{kind.__module__}:{kind.__qualname__}'


def plain(path: tuple[Any, ...]) -> NnxPath:
  """Returns a path of nnx.State with its parts as text and list positions."""
  return tuple(part if isinstance(part, int) else str(part) for part in path)


def attribute_paths(node: Any, path: NnxPath = (),
                    above: tuple[int, ...] = ()) -> Iterator[tuple[NnxPath, Any]]:
  """Yields every attribute path of every variable, shared ones at each of their paths."""
  if isinstance(node, nnx.Variable):
    yield path, node
    return
  if id(node) in above:
    return
  for name, child in _children(node):
    yield from attribute_paths(child, (*path, name), (*above, id(node)))


def _children(node: Any) -> list[tuple[str | int, Any]]:
  if isinstance(node, nnx.List | list | tuple):
    return list(enumerate(node))
  if isinstance(node, nnx.Dict | Mapping):
    return list(node.items())
  return list(vars(node).items()) if isinstance(node, nnx.Module) else []


def collection_of(variable: nnx.Variable) -> str:
  """Returns the Linen collection of a variable: 'params' for nnx.Param, the registered name otherwise."""
  try:
    return nnx.variable_name_from_type(type(variable))
  except ValueError as error:
    raise WeightsError(f'{type(variable).__name__} has no Linen collection; register one with '
                       'nnx.register_variable_name') from error


def collections(model: Any) -> dict[NnxPath, str]:
  """Returns {path: Linen collection} of all weights."""
  return {path: collection_of(variable) for path, variable in weights(model).items()}


def shape_and_dtype(variable: nnx.Variable, path: NnxPath) -> tuple[tuple[int, ...], Any]:
  """Returns what the model expects at a path.  Raises WeightsError when the variable holds no array."""
  value = variable.get_value()
  if not hasattr(value, 'shape'):
    raise WeightsError(f'NNX {show(path)} holds {type(value).__name__}, not an array')
  return tuple(value.shape), value.dtype
