"""The NNX side as traced programs: the same functions of Linen's variables, with the leaf map inside."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx

from migrator.equivalence.models import nested
from migrator.equivalence.proof.boundaries import marked_nnx_calls
from migrator.equivalence.proof.linen_programs import flat, floats_of, plain_gradients, with_floats
from migrator.equivalence.proof.marks import (
  audited_nnx_draws,
  mark_nnx_streams,
  marked_linen_initial_draws,
  marked_nnx_initial_draws,
)
from migrator.equivalence.proof.shapes import Specs
from migrator.equivalence.proof.tracing import Traced, Tree, trace, weighted_sum, weights_for
from migrator.equivalence.sown import watched_sow
from migrator.equivalence.weight_map import NNX_ONLY
from migrator.weights import nnx_leaves, transform
from migrator.weights.leaf_map import LeafMap, NnxPath
from migrator.weights.live_optimizer import load_optimizer

# (model, mode) -> function of (model, arrays)
CallOf = Callable[[nnx.Module, str], Callable[[nnx.Module, Any], Any]]


class AbstractModel:
  """A model of shapes; every trace gets a fresh one, filled with the tracers of Linen's variables.

  leaf_map: every leaf of either side in exactly one rule.
  """

  def __init__(self, model: nnx.Module, leaf_map: LeafMap, template: Mapping[tuple[str, ...], Any]):
    self._graph, self._state = nnx.split(model)
    self._map, self._template = leaf_map, template

  def keys(self) -> Tree:
    """Returns the shapes of the random keys of the model, by path."""
    return dict(self._random(nnx.RngKey))

  def filled(self, variables: Tree, keys: Tree, constant: bool) -> nnx.Module:
    """Returns the model with these variables, and with random streams whose draws are marked."""
    # Copied: a variable belongs to the trace that made it.
    model = nnx.merge(self._graph, jax.tree.map(lambda leaf: leaf, self._state))
    self.fill(model, variables)
    for path, variable in _variables(model, nnx.RngKey):
      variable.set_value(keys['/'.join(map(str, path))])
    for _, variable in _variables(model, nnx.RngCount):
      variable.set_value(jnp.zeros(variable.get_value().shape, jnp.uint32))
    mark_nnx_streams(model, constant)
    return model

  def fill(self, model: nnx.Module, variables: Tree) -> None:
    """Puts Linen's variables into a model."""
    values = transform.forward(self._map, flat(variables))
    for path, variable in nnx_leaves.weights(model).items():
      variable.set_value(values[path])

  def stepped(self, model: nnx.Module, chain: Any, gradient: Tree, state: Any) -> Tree:
    """Returns parameters and optimizer state, in Linen's names, after one step of nnx.Optimizer."""
    optimizer = nnx.Optimizer(model, chain, wrt=nnx.Param)
    load_optimizer(optimizer, state, self._map)
    rules = LeafMap(tuple(rule for rule in self._map if rule.linen[0][0] == 'params'))
    values = transform.forward(rules, {('params', *path): leaf for path, leaf in flat(gradient).items()})
    gradients = nnx.state(model, nnx.Param)
    flat_gradients = [(path, leaf.replace(values[nnx_leaves.plain(path)]))
                      for path, leaf in nnx.to_flat_state(gradients)]
    optimizer.update(model, nnx.from_flat_state(flat_gradients))
    params = nested(self.to_linen(nnx.state(model, nnx.Param)))
    held = {nnx_leaves.plain(path): _value(leaf)
            for path, leaf in nnx.to_flat_state(nnx.state(optimizer).get('opt_state', nnx.State({})))}
    return {'params': params.get('params', params), 'optimizer': nested(self._optimizer_names(held, rules))}

  def _optimizer_names(self, held: Mapping[NnxPath, Any], rules: LeafMap) -> dict[tuple[str, ...], Any]:
    """Returns the optimizer's arrays under Linen's names: what is shaped like the parameters, and the rest."""
    known, groups, found = rules.nnx_paths(), dict[NnxPath, dict[NnxPath, Any]](), dict[tuple[str, ...], Any]()
    for path, value in held.items():
      size = next((size for size in range(len(path)) if path[size:] in known), None)
      if size is None:
        found[tuple(map(str, path))] = value
      else:
        groups.setdefault(path[:size], {})[path[size:]] = value
    for prefix, values in groups.items():
      own = LeafMap(tuple(rule for rule in rules if rule.nnx in values))
      for linen, value in transform.backward(own, values, self._template).items():
        found[(*map(str, prefix), *linen[1:])] = value
    return found

  def to_linen(self, state: Any, sown: Collection[tuple[Any, str]] = ()) -> dict[tuple[str, ...], Any]:
    """Returns the arrays of a State (all variables or a part, or gradients) by Linen path.

    sown: (variable type, name) of what the call sowed; it is no part of the weights.
    """
    known = self._map.nnx_paths()
    values = {cast(NnxPath, path): _value(leaf) for path, leaf in nnx.to_flat_state(state)
              if not isinstance(leaf, nnx_leaves.RANDOM)
              and (path in known or isinstance(leaf, nnx.Variable) and not any((type(leaf), part) in sown for part in path))}
    rules = LeafMap(tuple(rule for rule in self._map if rule.nnx in values))
    extra = {(NNX_ONLY, *map(str, path)): value for path, value in values.items()
             if path not in rules.nnx_paths()}
    return {**transform.backward(rules, values, self._template), **extra}

  def _random(self, kind: type) -> Iterator[tuple[str, Any]]:
    for path, leaf in nnx.to_flat_state(self._state):
      if isinstance(leaf, kind):
        yield '/'.join(map(str, path)), _value(leaf)


class NnxPrograms:
  """Programs of one case.

  make: the constructor call.  call_of: how the model is called in a mode.  variables: shapes of
  Linen's variables as a tree.  optimizer: the optax chain, or None.
  """

  def __init__(self, model: AbstractModel, make: Callable[[], nnx.Module], call_of: CallOf, variables: Tree,
               inputs: Any, optimizer: Any = None):
    self._model, self._make, self._call_of, self._variables = model, make, call_of, variables
    self._optimizer, self._calls = optimizer, False
    self._outputs: dict[tuple[str, str], Any] = {}
    self._specs, self.inputs = Specs(inputs.arrays), inputs

  def traced(self, kind: str, mode: str, plan: str, constant_keys: bool, calls: bool = False) -> Traced:
    """Returns the program of a kind in a mode, for the shapes of a plan.

    kind: 'forward', 'gradient', 'step' (the optimizer's, of given gradients), 'init', or 'audit' (a
    forward whose streams are those the constructor made).
    calls: mark what goes into modules and out of them.
    """
    self._calls = calls
    return getattr(self, f'_{kind}')(mode, plan, constant_keys)

  def _forward(self, mode: str, plan: str, constant: bool) -> Traced:
    def forward(given: Tree) -> Tree:
      model = self._model.filled(given['variables'], given['keys'], constant)
      before = {path: variable.get_value() for path, variable in nnx_leaves.weights(model).items()}
      with self._marking(model), watched_sow(nnx.Module) as sown:
        output = self._call_of(model, mode)(model, given['inputs'])
      state = self._model.to_linen(_changed(nnx.state(model), before), sown)
      return {'output': output, 'state': nested(state)}

    traced = trace(forward, self._given(plan))
    self._outputs[mode, plan] = traced.shapes['output']
    return traced

  def _gradient(self, mode: str, plan: str, constant: bool) -> Traced:
    if (mode, plan) not in self._outputs:
      self._forward(mode, plan, constant)

    def gradient(given: Tree) -> Tree:
      model = self._model.filled(given['variables'], given['keys'], constant)
      call = self._call_of(model, mode)

      def loss(model: nnx.Module, floats: Any) -> jax.Array:
        return weighted_sum(call(model, with_floats(given['inputs'], floats)), given['weights'])

      take = nnx.grad(loss, argnums=(nnx.DiffState(0, nnx.Param), 1), allow_int=True)
      with self._marking(model):
        by_params, by_inputs = take(model, floats_of(given['inputs']))
      found = nested(dict(self._model.to_linen(by_params).items()))
      params = {**found.pop('params', {}), **found}
      return {'gradient': {'params': plain_gradients(params), 'inputs': by_inputs}}

    return trace(gradient, {**self._given(plan), 'weights': weights_for(self._outputs[mode, plan])})

  def _step(self, mode: str, plan: str, constant: bool) -> Traced:
    params = self._variables.get('params', {})

    def step(given: Tree) -> Tree:
      model = self._model.filled({**self._zeros(), 'params': given['params']}, self._no_keys(), constant)
      return self._model.stepped(model, self._optimizer, given['gradient'], given['optimizer'])

    return trace(step, {'params': params, 'gradient': params,
                        'optimizer': jax.eval_shape(self._optimizer.init, params)})

  def _init(self, mode: str, plan: str, constant: bool) -> Traced:
    def initial(given: Tree) -> Tree:
      return {'initial': nested(self._model.to_linen(nnx.state(self._make())))}

    # Linen modules behind a face draw by themselves.
    with marked_nnx_initial_draws(), marked_linen_initial_draws():
      return trace(initial, {'inputs': self._specs.of(plan)})

  def _init_keys(self, mode: str, plan: str, constant: bool) -> Traced:
    def initial(given: Tree) -> Tree:
      return {'initial': nested(self._model.to_linen(nnx.state(self._make())))}

    with audited_nnx_draws(), marked_linen_initial_draws():
      return trace(initial, {'inputs': self._specs.of(plan)})

  def _audit(self, mode: str, plan: str, constant: bool) -> Traced:
    def audited(given: Tree) -> Tree:
      model = self._make()
      self._model.fill(model, given['variables'])
      with audited_nnx_draws():
        output = self._call_of(model, mode)(model, given['inputs'])
      return {'output': output}

    return trace(audited, {'variables': self._variables, 'inputs': self._specs.of(plan)})

  def _marking(self, model: nnx.Module) -> contextlib.AbstractContextManager[None]:
    return marked_nnx_calls(model) if self._calls else contextlib.nullcontext()

  def _zeros(self) -> Tree:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
                        {name: tree for name, tree in self._variables.items() if name != 'params'})

  def _no_keys(self) -> Tree:
    return {path: jnp.broadcast_to(jax.random.key(0), leaf.shape) for path, leaf in self._model.keys().items()}

  def _given(self, plan: str) -> Tree:
    return {'variables': self._variables, 'keys': self._model.keys(),
            'inputs': self._specs.of(plan)}


def _changed(state: Any, before: Mapping[NnxPath, Any]) -> Any:
  """Returns the state without parameters that are as they were, which is what Linen returns too."""
  return nnx.from_flat_state([
    (path, leaf) for path, leaf in nnx.to_flat_state(state)
    if not (isinstance(leaf, nnx.Param) and before.get(nnx_leaves.plain(path)) is _value(leaf))])


def _variables(model: nnx.Module, kind: type) -> list[tuple[Any, Any]]:
  return [(path, node) for path, node in nnx.iter_graph(model) if isinstance(node, kind)]


def _value(leaf: Any) -> Any:
  return leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf
