"""The Linen half of a check: random variables, outputs, collections, gradients, keys."""
from __future__ import annotations

import contextlib
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.cases import Case, from_json
from migrator.equivalence.errors import RequestError
from migrator.equivalence.fill import random_value
from migrator.equivalence.linen_extra import extra_outputs
from migrator.equivalence.linen_keys import KeyLog, constant_keys, watched_keys
from migrator.equivalence.linen_training import trained
from migrator.equivalence.models import (
  CallInputs,
  arrays_of,
  find_class,
  flag_of,
  library_names,
  projection,
  value_of,
  words_of,
)
from migrator.equivalence.proof.answer import described, fingerprint_answer, traced_answer
from migrator.equivalence.proof.linen_programs import LinenPrograms, flat
from migrator.equivalence.proof.shapes import possible
from migrator.equivalence.proof.tracing import Traced
from migrator.equivalence.protocol import Message, in_group
from migrator.equivalence.sown import watched_sow, without

CONSTANT_KEY = 20_01
SOWN = ('intermediates', 'perturbations')


@dataclasses.dataclass(frozen=True)
class Prepared:
  """One case, ready to run."""

  case: Case
  model: nn.Module
  inputs: CallInputs
  variables: dict[str, Any]


class LinenSide:
  """Serves requests about Linen models under one root."""

  def __init__(self, root: Path):
    self._root = root
    self._names = {**library_names(), 'nn': nn, 'linen': nn}
    self._prepared: Prepared | None = None
    self._programs: LinenPrograms | None = None
    self._traced: Traced | None = None

  def describe(self, message: Message) -> Message:
    """Builds the model of `body['case']`; answers with the shapes of its variables, no numbers."""
    case, model, inputs = self._built(message)
    shapes, initialise = self._shapes(case, model, inputs)
    ready = Prepared(case, model, inputs, {})
    self._programs = LinenPrograms(
      lambda mode, variables, arrays: self._apply(ready, mode, variables, arrays), initialise, shapes, inputs,
      self._chain(case) if case.optimizer else None)
    listed = [[list(path), *described(leaf)] for path, leaf in flat(shapes).items()]
    return Message({'digest': inputs.digest(), 'variables': listed, 'plans': possible(inputs.arrays)})

  def trace(self, message: Message) -> Message:
    """Answers with the program of `body['kind']` in `body['mode']`, for the shapes of `body['plan']`."""
    assert self._programs is not None
    self._traced, answer = traced_answer(self._programs, message.body, 'linen', self._root)
    return answer

  def fingerprint(self, message: Message) -> Message:
    """Answers with hashes of the outputs of the program traced last, at random points."""
    assert self._traced is not None and self._programs is not None
    return fingerprint_answer(self._traced, message.body, self._programs.inputs.arrays)

  def prepare(self, message: Message) -> Message:
    """Builds the model of `body['case']`; answers with its random variables."""
    case, model, inputs = self._built(message)
    variables = self._variables(case, model, inputs)
    self._prepared = Prepared(case, model, inputs, variables)
    return Message({'digest': inputs.digest()}, in_group('variables', arrays_of(variables)))

  def _built(self, message: Message) -> tuple[Case, nn.Module, CallInputs]:
    case = from_json(message.body['case'], 'case')
    kind = find_class(case.model, self._root)
    if not issubclass(kind, nn.Module):
      raise RequestError(f'{case.model}: the class under the Linen root is no flax.linen.Module; '
                         'give the folder or the revision before the migration')
    arguments = {name: value_of(text, self._names) for name, text in case.arguments.items()}
    return case, kind(**arguments), CallInputs.of_case(case, self._names)

  def forward(self, message: Message) -> Message:
    """Runs `body['mode']`; answers with output, collections after the call, and the keys drawn.

    For every kind of extra inputs in `body['extra']` that the model takes also the output, in a group of that name,
    and for every word of `body['moved']` the one from weights and inputs moved by one unit in the last place.
    """
    ready, mode, keys = self._request(message)
    run = jax.jit(lambda variables, arrays: self._apply(ready, mode, variables, arrays))
    log = KeyLog()
    with constant_keys(jax.random.key(CONSTANT_KEY)) if keys == 'constant' else watched_keys(log):
      output, state = jax.block_until_ready(run(ready.variables, ready.inputs.arrays))
      draws, irregular = log.draws(), log.irregular()
      extra = {} if keys != 'constant' and irregular else extra_outputs(
        lambda variables, arrays: run(variables, arrays)[0], ready.variables, ready.inputs.extra(message.body.get('extra', ())),
        message.body.get('moved', ()), bool(draws))
    kept = {name: tree for name, tree in ready.variables.items() if name != 'params'}
    keys_drawn = {(str(k),): data for k, data in enumerate(draws.values())}
    arrays = {**in_group('output', arrays_of(output)), **in_group('state', arrays_of({**kept, **state})),
              **in_group('keys', keys_drawn), **extra}
    body = {'draws': [[list(path), stream] for path, stream in draws],
            'irregular': ['/'.join(path) for path, _ in irregular]}
    return Message(body, arrays)

  def gradient(self, message: Message) -> Message:
    """Answers with the gradients of a random projection of the output, for params and float inputs."""
    ready, mode, keys = self._request(message)
    params, rest = ready.variables.get('params', {}), dict(ready.variables)

    def loss(params: Any, floats: Any) -> jax.Array:
      output, _ = self._apply(ready, mode, {**rest, 'params': params}, ready.inputs.with_floats(floats))
      return projection(output)

    floats = [ready.inputs.arrays[k] for k in ready.inputs.floats()]
    with self._keys(keys):
      by_params, by_inputs = jax.jit(jax.grad(loss, (0, 1), allow_int=True))(params, floats)
    return Message({}, {**in_group('params', arrays_of({'params': by_params})),
                        **in_group('inputs', arrays_of(by_inputs))})

  def steps(self, message: Message) -> Message:
    """Trains for `body['count']` steps of the case's optimizer; answers with the losses and the parameters.

    For every word of `body['moved']` a second answer: from parameters moved by one unit in the last place.
    """
    ready, mode, keys = self._request(message)
    chain = self._chain(ready.case)
    with self._keys(keys):
      runs = list(trained(lambda variables: self._apply(ready, mode, variables, ready.inputs.arrays),
                          ready.variables, chain, message.body['count'], message.body['moved']))
    named = zip(('steps', *message.body['moved']), runs, strict=True)
    return Message({}, {path: array for name, run in named for path, array in in_group(name, run).items()})

  def _chain(self, case: Case) -> Any:
    return value_of(case.optimizer, self._names)

  def _request(self, message: Message) -> tuple[Prepared, str, str]:
    assert self._prepared is not None
    return self._prepared, message.body['mode'], message.body['keys']

  def _apply(self, ready: Prepared, mode: str, variables: Any, arrays: Any) -> tuple[Any, Any]:
    case = ready.case
    args, keywords = ready.inputs.rebuild(arrays)
    model, flags = self._flagged(ready, mode)
    changes = case.mutable if mode == 'train' else case.eval_mutable
    mutable = [name for name in changes if name not in SOWN]
    rngs = {name: jax.random.key(k + 1) for k, name in enumerate(case.rngs)}
    result = model.apply(variables, *args, **keywords, **flags, rngs=rngs, mutable=mutable or False,
                         method=case.method)
    return result if mutable else (result, {})

  def _flagged(self, ready: Prepared, mode: str) -> tuple[nn.Module, dict[str, Any]]:
    """Splits the flags: names the call does not take but the class has as fields go to the constructor."""
    case, model = ready.case, ready.model
    given = (case.train if mode == 'train' else case.eval) or {}
    flags = {name: flag_of(value, self._names) for name, value in given.items()}
    method = getattr(type(model), case.method, None)
    if method is None:
      raise RequestError(f'{case.model}: there is no method {case.method} in Linen')
    accepted = inspect.signature(method).parameters
    fields = {field.name for field in dataclasses.fields(model)} - set(accepted)
    as_fields = {name: value for name, value in flags.items() if name in fields}
    return model.clone(**as_fields), {name: flags[name] for name in flags if name not in as_fields}

  def _shapes(self, case: Case, model: nn.Module, inputs: CallInputs) -> tuple[dict[str, Any], Any]:
    """Returns the shapes of the variables as a tree, and the function of the inputs that makes them."""
    ready = Prepared(case, model, inputs, {})
    flagged, flags = self._flagged(ready, 'train' if case.eval is None else 'eval')

    def initialise(arrays: Any) -> Any:
      args, keywords = inputs.rebuild(arrays)
      rngs = {name: jax.random.key(k) for k, name in enumerate(('params', *case.rngs))}
      tree = flagged.init(rngs, *args, **keywords, **flags, method=case.method)
      kept = {name: nn.meta.unbox(tree[name]) for name in tree if name not in SOWN}
      for collection in {collection for collection, _ in sown} & set(kept):
        kept[collection] = without(kept[collection], {name for other, name in sown if other == collection})
      return {name: tree for name, tree in kept.items() if tree}

    with watched_sow(nn.Module) as sown:
      return jax.eval_shape(initialise, inputs.arrays), initialise

  def _variables(self, case: Case, model: nn.Module, inputs: CallInputs) -> dict[str, Any]:
    """Returns the tree of variables, floats random, everything else as initialised."""
    shapes, initialise = self._shapes(case, model, inputs)
    inexact = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(shapes)]
    # Initial values cost a compilation; they are needed only where something keeps them.
    initial = shapes if all(inexact) else jax.jit(initialise)(inputs.arrays)
    return jax.tree_util.tree_map_with_path(_filled, initial)

  def _keys(self, keys: str) -> contextlib.AbstractContextManager[None]:
    return constant_keys(jax.random.key(CONSTANT_KEY)) if keys == 'constant' else contextlib.nullcontext()


def _filled(path: Any, leaf: Any) -> Any:
  if not jnp.issubdtype(leaf.dtype, jnp.inexact):
    return leaf
  return jnp.asarray(random_value(words_of(path), leaf.shape, np.dtype(leaf.dtype)))
