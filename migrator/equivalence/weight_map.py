"""Which NNX leaf is which Linen leaf in one loaded model, also for a part of it such as its gradients."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
from flax import nnx

from migrator.manifest import Manifest
from migrator.weights import convert_state, nnx_leaves, transform
from migrator.weights.leaf_map import LeafMap, NnxPath

ArrayPath = tuple[str, ...]
# Group of the NNX leaves that no Linen leaf belongs to; they make a comparison fail by being there.
NNX_ONLY = 'only in NNX'


class WeightMap:
  """The leaf map of one model; making it loads the variables into the model.

  Raises:
    WeightsError: a leaf of either side has no counterpart, or another shape or dtype.
  """

  def __init__(self, model: nnx.Module, variables: Mapping[str, Any], flat: Mapping[ArrayPath, np.ndarray],
               manifest: Manifest, class_name: str):
    self._template = flat
    self._map = convert_state.map_for(variables, manifest, class_name, model)
    convert_state.load(model, variables, manifest, class_name)

  def to_linen(self, state: Any, sown: Collection[tuple[Any, str]] = ()) -> dict[ArrayPath, np.ndarray]:
    """Returns the arrays of an nnx.State (of all variables or a part, or of gradients) by Linen path.

    Arrays that are plain attributes are constants of the model, no weights; `plain_arrays` has them.
    sown: (variable type, name) of what the call sowed; it is no part of the weights.
    """
    known = self._map.nnx_paths()
    values = {cast(NnxPath, path): np.asarray(_value(leaf)) for path, leaf in nnx.to_flat_state(state)
              if not isinstance(leaf, nnx_leaves.RANDOM)
              and (path in known or isinstance(leaf, nnx.Variable) and not any((type(leaf), part) in sown for part in path))}
    rules = LeafMap(tuple(rule for rule in self._map if rule.nnx in values))
    mapped = transform.backward(rules, values, self._template)
    extra = {(NNX_ONLY, *map(str, path)): array for path, array in values.items()
             if path not in rules.nnx_paths()}
    return {**mapped, **extra}


def plain_arrays(model: nnx.Module) -> dict[NnxPath, np.ndarray]:
  """Returns the arrays that are attributes of the model's modules, in no variable."""
  return {cast(NnxPath, path): np.asarray(leaf) for path, leaf in nnx.to_flat_state(nnx.state(model))
          if not isinstance(leaf, nnx.Variable)}


def _value(leaf: Any) -> Any:
  return leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf
