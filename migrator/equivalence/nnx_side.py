"""The NNX half of a check: built as the manifest says, loaded with Linen's variables, run the same way."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from flax import nnx

from migrator.equivalence.cases import Case, from_json
from migrator.equivalence.errors import RequestError
from migrator.equivalence.linen_side import CONSTANT_KEY, SOWN
from migrator.equivalence.models import (
  CallInputs,
  arrays_of,
  find_class,
  flag_of,
  library_names,
  nested,
  projection,
  value_of,
)
from migrator.equivalence.module_paths import module_paths
from migrator.equivalence.nnx_build import build, call_method
from migrator.equivalence.nnx_keys import make_constant, misdrawn, replay
from migrator.equivalence.proof.answer import abstract, fingerprint_answer, traced_answer
from migrator.equivalence.proof.marks import uncounted_draws
from migrator.equivalence.proof.module_map import all_modules
from migrator.equivalence.proof.nnx_programs import AbstractModel, NnxPrograms
from migrator.equivalence.proof.tracing import Traced
from migrator.equivalence.protocol import Message, in_group
from migrator.equivalence.sown import watched_sow
from migrator.equivalence.weight_map import WeightMap, plain_arrays
from migrator.manifest import Manifest
from migrator.weights import convert_state, nnx_leaves, transform
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap
from migrator.weights.sample_call import made_by_a_call

# Numbers of a model that may be made although only shapes are wanted.
LARGEST_CONCRETE = 10**8
CONCRETE = 'the model was constructed with its numbers, not with shapes alone: {}'


@dataclasses.dataclass(frozen=True)
class Prepared:
  """One case, ready to run: `model` is loaded and never changed.

  fields: constructor arguments of Linen that are call arguments here.
  variables: of Linen, by path.  weights: their places in the model.
  """

  case: Case
  manifest: Manifest
  model: nnx.Module
  inputs: CallInputs
  fields: dict[str, Any]
  variables: dict[tuple[str, ...], np.ndarray]
  weights: WeightMap


class NnxSide:
  """Serves requests about NNX models under one root."""

  def __init__(self, root: Path):
    self._root = root
    self._names = {**library_names(), 'nn': nnx, 'nnx': nnx}
    self._prepared: Prepared | None = None
    self._programs: NnxPrograms | None = None
    self._traced: Traced | None = None

  def describe(self, message: Message) -> Message:
    """Builds the model of `body['case']` with shapes alone and maps Linen's variables onto it.

    Answers with the NNX path of every Linen module, or with 'misfit' where a leaf has no counterpart.
    """
    case, manifest, kind, inputs = self._asked(message)
    variables = {tuple(path): abstract(shape, dtype) for path, shape, dtype in message.body['variables']}
    fields: dict[str, Any] = {}

    def constructed() -> nnx.Module:
      model, found = build(kind, case, manifest, inputs, self._names, nested(variables))
      fields.update(found)
      return model

    def called() -> nnx.Module:
      model = constructed()
      self._called_once(case, manifest, model, inputs, fields)
      return model

    make = constructed
    try:
      try:
        model, leaf_map, note = _placed(make, variables, manifest, case.model)
      except WeightsError:
        if not made_by_a_call(manifest):
          raise
        # As in Linen's init, a call makes the variables whose existence the class asks for.
        make = called
        model, leaf_map, note = _placed(make, variables, manifest, case.model)
    except WeightsError as error:
      return Message({'digest': inputs.digest(), 'misfit': str(error)})

    def call_of(model: nnx.Module, mode: str) -> Any:
      return self._method(case, manifest, model, inputs, fields, mode)[0]

    optimizer = self._chain(case) if case.optimizer else None
    self._programs = NnxPrograms(AbstractModel(model, leaf_map, variables), make, call_of, nested(variables),
                                 inputs, optimizer)
    known = [path[1:] for path in variables]
    own = {cast(Any, path) for path, _ in nnx.iter_modules(model)}
    paths = all_modules(module_paths(model, manifest, case.model, known), leaf_map, own)
    return Message({'digest': inputs.digest(), 'leaves': len(leaf_map.rules), 'note': note,
                    'modules': [['/'.join(linen), '/'.join(map(str, own))] for linen, own in paths.items()]})

  def trace(self, message: Message) -> Message:
    """Answers with the program of `body['kind']` in `body['mode']`, for the shapes of `body['plan']`."""
    assert self._programs is not None
    self._traced, answer = traced_answer(self._programs, message.body, 'nnx', self._root)
    return answer

  def fingerprint(self, message: Message) -> Message:
    """Answers with hashes of the outputs of the program traced last, at random points."""
    assert self._traced is not None and self._programs is not None
    return fingerprint_answer(self._traced, message.body, self._programs.inputs.arrays)

  def _asked(self, message: Message) -> tuple[Case, Manifest, type, CallInputs]:
    case = from_json(message.body['case'], 'case')
    manifest = Manifest.from_json(message.body['manifest'])
    kind = find_class(case.model, self._root)
    if not issubclass(kind, nnx.Module):
      raise RequestError(f'{case.model}: the class under the NNX root is no flax.nnx.Module; '
                         'give the folder after the migration')
    return case, manifest, kind, CallInputs.of_case(case, self._names)

  def prepare(self, message: Message) -> Message:
    """Builds the model of `body['case']`, loads the variables, and answers with them as read back."""
    case, manifest, kind, inputs = self._asked(message)
    variables = message.group('variables')
    try:
      model, fields = build(kind, case, manifest, inputs, self._names, nested(variables))
      try:
        weights = WeightMap(model, nested(variables), variables, manifest, case.model)
      except WeightsError:
        if not made_by_a_call(manifest):
          raise
        # As in Linen's init, a call makes the variables whose existence the class asks for.
        self._called_once(case, manifest, model, inputs, fields)
        weights = WeightMap(model, nested(variables), variables, manifest, case.model)
    except WeightsError as error:
      return Message({'digest': inputs.digest(), 'misfit': str(error)})
    self._prepared = Prepared(case, manifest, model, inputs, fields, variables, weights)
    return Message({'digest': inputs.digest()}, in_group('variables', weights.to_linen(nnx.state(model))))

  def forward(self, message: Message) -> Message:
    """Runs `body['mode']`; answers with output, collections after the call, and what spoiled the keys.

    For every kind of extra inputs in `body['extra']` also the output, or in 'refused' why there is none.
    """
    ready = self._ready()
    model, problems, notes = self._keyed(ready, message)
    if problems:
      return Message({'unaligned': problems, 'notes': notes})
    call, words = self._call(ready, model, message.body['mode'])
    before = nnx.clone(model)
    run = nnx.jit(call)
    with watched_sow(nnx.Module) as sown:
      output = run(model, list(ready.inputs.arrays))
    extra, refused = _extra_outputs(run, before, ready.inputs.extra(message.body.get('extra', ())))
    state = ready.weights.to_linen(nnx.state(model), sown)
    changed = sorted('/'.join(path) for path, array in state.items()
                     if path[0] == 'params' and not _same(array, ready.variables.get(path)))
    constants = plain_arrays(before)
    changed += ['/'.join(map(str, path)) for path, array in plain_arrays(model).items()
                if not _same(array, constants.get(path))]
    kept = {path: array for path, array in state.items() if path[0] not in ('params', *SOWN)}
    body = {'unaligned': misdrawn(before, model), 'notes': notes + words, 'changed params': changed, 'refused': refused}
    return Message(body, {**in_group('output', arrays_of(output)), **in_group('state', kept), **extra})

  def gradient(self, message: Message) -> Message:
    """Answers with the gradients of a random projection of the output, by Linen path and by input."""
    ready = self._ready()
    model, problems, notes = self._keyed(ready, message)
    if problems:
      return Message({'unaligned': problems, 'notes': notes})
    call, words = self._call(ready, model, message.body['mode'])

    def loss(model: nnx.Module, floats: Any) -> jax.Array:
      return projection(call(model, ready.inputs.with_floats(floats)))

    take = nnx.jit(nnx.grad(loss, argnums=(nnx.DiffState(0, nnx.Param), 1), allow_int=True))
    by_params, by_inputs = take(model, [ready.inputs.arrays[k] for k in ready.inputs.floats()])
    arrays = {**in_group('params', ready.weights.to_linen(by_params)),
              **in_group('inputs', arrays_of(by_inputs))}
    return Message({'unaligned': [], 'notes': notes + words}, arrays)

  def steps(self, message: Message) -> Message:
    """Trains for `body['count']` steps of nnx.Optimizer; answers with the losses and the parameters."""
    ready = self._ready()
    model, _, notes = self._keyed(ready, message)
    call, words = self._call(ready, model, message.body['mode'])
    optimizer = nnx.Optimizer(model, self._chain(ready.case), wrt=nnx.Param)

    @nnx.jit
    def step(model: nnx.Module, optimizer: nnx.Optimizer) -> jax.Array:
      value, gradient = nnx.value_and_grad(lambda model: projection(call(model, list(ready.inputs.arrays))))(model)
      optimizer.update(model, gradient)
      return value

    losses = [np.asarray(step(model, optimizer)) for _ in range(message.body['count'])]
    arrays = {('losses',): np.stack(losses), **ready.weights.to_linen(nnx.state(model, nnx.Param))}
    return Message({'notes': notes + words}, in_group('steps', arrays))

  def _chain(self, case: Case) -> Any:
    return value_of(case.nnx_optimizer or case.optimizer, self._names)

  def _ready(self) -> Prepared:
    assert self._prepared is not None
    return self._prepared

  def _keyed(self, ready: Prepared, message: Message) -> tuple[nnx.Module, list[str], list[str]]:
    """Returns a fresh model with the keys of the request, and why they cannot be given."""
    model = nnx.clone(ready.model)
    if message.body['keys'] == 'constant':
      make_constant(model, jax.random.key(CONSTANT_KEY))
      return model, [], []
    data = message.group('keys')
    draws = {(tuple(path), stream): data[(str(k),)] for k, (path, stream) in enumerate(message.body['draws'])}
    known = [*(path for path, _ in draws), *(path[1:] for path in ready.variables)]
    paths = module_paths(model, ready.manifest, ready.case.model, known)
    return model, replay(model, draws, paths), []

  def _call(self, ready: Prepared, model: nnx.Module, mode: str) -> tuple[Any, list[str]]:
    """Returns a function of (model, arrays), and notes about how flags were given."""
    return self._method(ready.case, ready.manifest, model, ready.inputs, ready.fields, mode)

  def _method(self, case: Case, manifest: Manifest, model: nnx.Module, inputs: CallInputs, fields: dict[str, Any],
              mode: str) -> tuple[Any, list[str]]:
    given = (case.train if mode == 'train' else case.eval) or {}
    flags = {name: flag_of(value, self._names) for name, value in given.items()}
    # A port made by hand has no manifest.
    entry = manifest.classes.get(case.model)
    modes = () if entry is None else entry.modes
    return call_method(model, case.method, {**fields, **flags}, inputs, mode, modes)

  def _called_once(self, case: Case, manifest: Manifest, model: nnx.Module, inputs: CallInputs,
                   fields: dict[str, Any]) -> None:
    call, _ = self._method(case, manifest, model, inputs, fields, 'train' if case.eval is None else 'eval')
    call(model, inputs.arrays)


def _extra_outputs(run: Any, model: nnx.Module, inputs: Mapping[str, Any]) -> tuple[dict[Any, np.ndarray], dict[str, str]]:
  """Returns the output of a fresh model for every kind of extra inputs, in a group of its name; and what failed."""
  found: dict[Any, np.ndarray] = {}
  refused: dict[str, str] = {}
  for kind, arrays in inputs.items():
    try:
      found |= in_group(kind, arrays_of(run(nnx.clone(model), list(arrays))))
    # The user's model decides what it takes, with any exception; Linen tells whether it should.
    except Exception as error:
      refused[kind] = f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
  return found, refused


def _placed(make: Callable[[], nnx.Module], variables: dict[tuple[str, ...], Any], manifest: Manifest,
            name: str) -> tuple[nnx.Module, LeafMap, str]:
  """Returns the model with shapes alone, the place of every variable in it, and a note; raises WeightsError."""
  model, note = _abstract(make, sum(int(np.prod(leaf.shape)) for leaf in variables.values()))
  leaf_map = convert_state.map_for(nested(variables), manifest, name, model)
  convert_state.checked(leaf_map, transform.forward(leaf_map, variables), nnx_leaves.weights(model))
  return model, leaf_map, note


def _abstract(make: Callable[[], nnx.Module], size: int) -> tuple[nnx.Module, str]:
  """Returns the model with shapes alone; or with its numbers, and a note that says why.

  Plain arrays among its attributes are no weights, so nothing else tells their values, and the call may need
  them while tracing; then a model that is not too large is constructed as it is.
  """
  try:
    with uncounted_draws():
      model = nnx.eval_shape(make)
  except WeightsError:
    raise
  # Flax refuses a constructor whose arrays cannot leave its trace with either of them.
  except (TypeError, ValueError) as error:
    if size > LARGEST_CONCRETE:
      raise
    return make(), CONCRETE.format(f'with shapes alone it fails ({" ".join(str(error).split())[:200]})')
  arrays = jax.ShapeDtypeStruct | jax.Array | np.ndarray
  plain = ['/'.join((*map(str, path), name)) for path, module in nnx.iter_modules(model)
           for name, value in vars(module).items()
           if any(isinstance(leaf, arrays) for leaf in jax.tree.leaves(value, is_leaf=_is_held_apart))]
  if not plain:
    return model, ''
  if size > LARGEST_CONCRETE:
    return model, f'the values of {plain[0]}, a plain array, are not known: the model is too large to be constructed'
  return make(), CONCRETE.format(f'{", ".join(sorted(plain)[:3])} are plain arrays, constants of the model')


def _is_held_apart(value: Any) -> bool:
  return isinstance(value, nnx.Variable | nnx.Module | nnx.List | nnx.Dict | nnx.Rngs | nnx.RngStream)


def _same(array: np.ndarray, reference: np.ndarray | None) -> bool:
  return reference is not None and array.dtype == reference.dtype and array.tobytes() == reference.tobytes()
