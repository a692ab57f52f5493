"""Compares the leaves of a target with an abstract NNX model: names, shapes and dtypes."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrator.weights import nnx_leaves, transform
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import show


def check(content: Mapping[tuple[str, ...], Any], model: Any, above: tuple[str, ...], below: tuple[str, ...]) -> None:
  """Raises WeightsError with every leaf of a model that a target lacks, has too many, or has otherwise.

  Args:
    content: {path in the target: array}.
    above, below: names in front of and behind each path of the model.
  """
  wanted = {(*above, *map(str, path), *below): nnx_leaves.shape_and_dtype(variable, path)
            for path, variable in nnx_leaves.weights(model).items()}
  there = {path for path in content if path[:len(above)] == above}
  problems = [f'NNX {show(path)} is not made' for path in wanted if path not in there]
  problems += [f'{show(path)} is made, and the model has none' for path in there if path not in wanted]
  problems += [f'{show(path)} is {transform.describe(content[path])}, the model has {dtype}[{",".join(map(str, shape))}]'
               for path, (shape, dtype) in wanted.items()
               if path in there and (tuple(content[path].shape), content[path].dtype) != (shape, dtype)]
  if problems:
    raise WeightsError('what the rules make is not what the model has; correct the rules:', sorted(problems))
