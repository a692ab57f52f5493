"""Puts a Linen run's optimizer state into a concrete nnx.Optimizer."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import nnx

from migrator.weights import nnx_leaves, transform
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap, LinenPath, show
from migrator.weights.optimizer import map_optimizer_state
from migrator.weights.plan import step_number
from migrator.weights.trees import text
from migrator.weights.variables import array_of, leaves


def load_optimizer(optimizer: nnx.Optimizer, opt_state: Any, leaf_map: LeafMap, step: Any = None,
                   params: Mapping[LinenPath, Any] | None = None) -> None:
  """Sets every value of the optimizer from an optax state of the Linen run, in place.

  Args:
    opt_state: live optax state or restored plain tree; its structure must be that of
      `optimizer` with the parameters' part renamed.
    leaf_map: the model's map, see `map_for`.
    step: the train state's step; None leaves the optimizer's.

  Raises:
    WeightsError: entries on one side only, other shapes or dtypes, all listed; the optimizer
      is unchanged then.
  """
  import jax.numpy as jnp
  mapped = map_optimizer_state(opt_state, leaf_map, params)
  values = {path: array_of(value, path) for path, value in leaves(mapped)}
  state = nnx.state(optimizer).get('opt_state', nnx.State({}))
  held = {text(nnx_leaves.plain(path)): variable for path, variable in nnx.to_flat_state(state)
          if hasattr(variable.get_value(), 'shape')}
  problems = [f'{show(path)} is only in the Linen optimizer state' for path in values if path not in held]
  problems += [f'{show(path)} is only in the NNX optimizer' for path in held if path not in values]
  problems += [f'{show(path)}: Linen {transform.describe(values[path])}, '
               f'NNX {transform.describe(held[path].get_value())}'
               for path in values if path in held and not _fits(values[path], held[path].get_value())]
  if problems:
    raise WeightsError('the optimizer state does not fit; build the same optax transformation:',
                       sorted(problems))
  new_step = None if step is None else step_number(step)
  for path, value in values.items():
    held[path].set_value(jnp.asarray(value))
  if new_step is not None:
    optimizer.step.set_value(jnp.asarray(new_step))


def _fits(value: Any, expected: Any) -> bool:
  return (tuple(value.shape), value.dtype) == (tuple(expected.shape), expected.dtype)
