"""Variables that a module makes when it is called, as Linen's init makes them: one call with shapes alone tells them."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flax import nnx

from migrator.manifest import Branch, Leaf, Manifest
from migrator.weights import nnx_leaves
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import NnxPath, show


@dataclasses.dataclass(frozen=True)
class SampleCall:
  """One call of the model: arrays may be given as jax.ShapeDtypeStruct; only their shapes are used."""

  arguments: Sequence[Any] = ()
  keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  method: str = '__call__'


_CONTAINERS = (nnx.List, nnx.Dict)
HINT = ('a class of the manifest makes variables when it is called; give a sample call (sample=SampleCall(...), or '
        '--input and --call)')


def made_by_a_call(manifest: Manifest) -> bool:
  """Whether a class has variables that no constructor makes: leaves that may be absent."""
  return any(isinstance(member, Branch) and () in member.bodies and len(member.bodies) == 2
             and all(isinstance(row, Leaf) and row.collection != 'params'
                     for body in member.bodies for row in body)
             for entry in manifest.classes.values() for member in entry.members)


def called(model: Any, sample: SampleCall | None) -> Any:
  """Returns the model as it is after the call, without arrays; the given model is not touched.

  Raises:
    WeightsError: the model cannot be called so.
  """
  if sample is None:
    return model
  if not isinstance(model, nnx.Module):
    raise WeightsError('a sample call needs the model itself, not its state')
  import jax
  leaves, tree = jax.tree.flatten((tuple(sample.arguments), dict(sample.keywords)))
  traced = [position for position, leaf in enumerate(leaves) if hasattr(leaf, 'shape') and hasattr(leaf, 'dtype')]

  def run(copy: nnx.Module, *arrays: Any) -> nnx.Module:
    given = [*leaves]
    for position, array in zip(traced, arrays, strict=True):
      given[position] = array
    arguments, keywords = jax.tree.unflatten(tree, given)
    getattr(copy, sample.method)(*arguments, **keywords)
    return copy

  try:
    with nnx.use_eager_sharding(False):
      return nnx.eval_shape(run, nnx.clone(model), *[leaves[position] for position in traced])
  except Exception as error:  # the user's model may raise anything
    raise WeightsError(f'the sample call of {type(model).__name__} fails ({type(error).__name__}: {error}); give '
                       'the arguments the model is called with') from error


def attach(model: nnx.Module, path: NnxPath, variable: nnx.Variable) -> None:
  """Puts a variable that a call made into a model where the call would have put it."""
  node: Any = model
  for part in path[:-1]:
    node = getattr(node, str(part)) if isinstance(node, nnx.Module) and not isinstance(node, _CONTAINERS) else node[part]
  if not isinstance(node, nnx.Module) or not isinstance(path[-1], str):
    raise WeightsError(f'NNX {show(path)} is made by a call and cannot be put there from outside; call the model once')
  setattr(node, path[-1], variable)


def missing(model: nnx.Module, state: nnx.State) -> dict[NnxPath, nnx.Variable]:
  """Returns the variables of a state that the model has not made yet."""
  there = nnx_leaves.weights(model)
  return {nnx_leaves.plain(path): variable for path, variable in nnx.to_flat_state(state)
          if nnx_leaves.plain(path) not in there}
