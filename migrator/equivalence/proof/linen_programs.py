"""The Linen side as traced programs: forward, gradient."""
from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from migrator.equivalence.models import nested, words_of
from migrator.equivalence.proof.boundaries import marked_linen_calls
from migrator.equivalence.proof.marks import marked_linen_draws, marked_linen_initial_draws
from migrator.equivalence.proof.shapes import Specs
from migrator.equivalence.proof.tracing import Traced, Tree, trace, weighted_sum, weights_for

# (mode, variables, arrays) -> (output, changed collections)
Apply = Callable[[str, Any, Any], tuple[Any, Any]]


class LinenPrograms:
  """Programs of one case.

  apply: calls the model.  initialise: makes the variables from the inputs.  variables: their shapes
  as a tree.  optimizer: the optax chain, or None.
  """

  def __init__(self, apply: Apply, initialise: Callable[[Any], Tree], variables: Tree, inputs: Any,
               optimizer: Any = None):
    self._apply, self._initialise, self._variables = apply, initialise, variables
    self._optimizer = optimizer
    self._outputs: dict[tuple[str, str], Any] = {}
    self._specs, self.inputs = Specs(inputs.arrays), inputs

  def traced(self, kind: str, mode: str, plan: str, constant_keys: bool, calls: bool = False) -> Traced:
    """Returns the program of a kind in a mode, for the shapes of a plan.

    kind: 'forward', 'gradient', 'step' (the optimizer's, of given gradients) or 'init'.
    calls: mark what goes into modules and out of them.
    """
    with marked_linen_draws(constant_keys), marked_linen_calls() if calls else contextlib.nullcontext():
      return getattr(self, f'_{kind}')(mode, plan)

  def _forward(self, mode: str, plan: str) -> Traced:
    def forward(given: Tree) -> Tree:
      output, changed = self._apply(mode, given['variables'], given['inputs'])
      kept = {name: tree for name, tree in given['variables'].items() if name != 'params'}
      return {'output': output, 'state': {**kept, **changed}}

    traced = trace(forward, {'variables': self._variables, 'inputs': self._specs.of(plan)})
    self._outputs[mode, plan] = traced.shapes['output']
    return traced

  def _gradient(self, mode: str, plan: str) -> Traced:
    if (mode, plan) not in self._outputs:
      self._forward(mode, plan)

    def gradient(given: Tree) -> Tree:
      rest = {name: tree for name, tree in given['variables'].items() if name != 'params'}

      def loss(params: Any, floats: Any) -> jax.Array:
        arrays = with_floats(given['inputs'], floats)
        output, _ = self._apply(mode, {**rest, 'params': params}, arrays)
        return weighted_sum(output, given['weights'])

      params = given['variables'].get('params', {})
      by_params, by_inputs = jax.grad(loss, (0, 1), allow_int=True)(params, floats_of(given['inputs']))
      return {'gradient': {'params': plain_gradients(by_params), 'inputs': by_inputs}}

    return trace(gradient, {'variables': self._variables,
                            'inputs': self._specs.of(plan),
                            'weights': weights_for(self._outputs[mode, plan])})

  def _step(self, mode: str, plan: str) -> Traced:
    params = self._variables.get('params', {})

    def step(given: Tree) -> Tree:
      updates, state = self._optimizer.update(given['gradient'], given['optimizer'], given['params'])
      return {'params': optax.apply_updates(given['params'], updates), 'optimizer': state}

    return trace(step, {'params': params, 'gradient': params,
                        'optimizer': jax.eval_shape(self._optimizer.init, params)})

  def _init(self, mode: str, plan: str) -> Traced:
    def initial(given: Tree) -> Tree:
      return {'initial': self._initialise(given['inputs'])}

    with marked_linen_initial_draws():
      return trace(initial, {'inputs': self._specs.of(plan)})


def floats_of(arrays: Any) -> list[Any]:
  """Returns the arrays a gradient exists for."""
  return [array for array in arrays if jnp.issubdtype(array.dtype, jnp.floating)]


def with_floats(arrays: Any, floats: Any) -> list[Any]:
  """Returns the arrays with the float ones replaced in order."""
  following = iter(floats)
  return [next(following) if jnp.issubdtype(array.dtype, jnp.floating) else array for array in arrays]


def plain_gradients(tree: Any) -> Tree:
  """Returns the gradients without those of whole numbers, which are none."""
  leaves = {path: leaf for path, leaf in flat(tree).items() if leaf.dtype != jax.dtypes.float0}
  return nested(leaves)


def flat(tree: Any) -> dict[tuple[str, ...], Any]:
  """Returns the leaves of a tree by path."""
  return {words_of(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
