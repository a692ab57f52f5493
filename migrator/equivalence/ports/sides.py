"""The two halves of a check of live modules, in one process: what the workers do, without a case file."""
from __future__ import annotations

import inspect
import queue
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax import nnx

from migrator.equivalence import linen_side, nnx_side
from migrator.equivalence.cases import Case
from migrator.equivalence.linen_keys import Draw, constant_keys
from migrator.equivalence.linen_side import CONSTANT_KEY, LinenSide
from migrator.equivalence.models import CallInputs, arrays_of, nested
from migrator.equivalence.nnx_keys import replay
from migrator.equivalence.nnx_side import NnxSide
from migrator.equivalence.ports.infer import PortMap
from migrator.equivalence.process import WorkerError
from migrator.equivalence.proof.answer import abstract
from migrator.equivalence.proof.nnx_programs import AbstractModel, NnxPrograms
from migrator.equivalence.protocol import Message, in_group
from migrator.equivalence.weight_map import WeightMap
from migrator.weights import convert_state, nnx_leaves, transform
from migrator.weights.leaf_map import LeafMap

SAMPLES = 4


class LinenPort(LinenSide):
  """Serves requests about one live Linen module.  chain: the optimizer, if it is no text of the case."""

  def __init__(self, root: Path = Path(), chain: Any = None):
    super().__init__(root)
    self._given_chain = chain

  def _chain(self, case: Case) -> Any:
    return super()._chain(case) if self._given_chain is None else self._given_chain

  def variables_of(self, ready: linen_side.Prepared) -> dict[str, Any]:
    """Returns the random variables of a module."""
    return self._variables(ready.case, ready.model, ready.inputs)

  def use(self, ready: linen_side.Prepared) -> None:
    self._prepared = ready

  def prepare(self, message: Message) -> Message:
    assert self._prepared is not None
    return Message({'digest': ''}, in_group('variables', arrays_of(self._prepared.variables)))

  def draws(self, ready: linen_side.Prepared) -> list[Draw]:
    """Returns which module draws from which stream, in order, without running anything."""
    drawn: list[Draw] = []
    with constant_keys(jax.random.key(CONSTANT_KEY), drawn):
      for mode in ('eval', 'train'):
        if getattr(ready.case, mode) is not None:
          jax.eval_shape(lambda variables, arrays, mode=mode: self._apply(ready, mode, variables, arrays),
                         ready.variables, ready.inputs.arrays)
    return [draw for draw in dict.fromkeys(drawn) if draw[1] != 'params']

  def _built(self, message: Message) -> tuple[Case, nn.Module, CallInputs]:
    assert self._prepared is not None
    return self._prepared.case, self._prepared.model, self._prepared.inputs

  def initial(self, ready: linen_side.Prepared) -> list[dict[tuple[str, ...], np.ndarray]]:
    """Returns several samples of the initial values."""
    flagged, flags = self._flagged(ready, 'train' if ready.case.eval is None else 'eval')

    def initialise(key: jax.Array, arrays: Any) -> Any:
      args, keywords = ready.inputs.rebuild(arrays)
      names = ('params', *ready.case.rngs)
      rngs = {name: jax.random.fold_in(key, k) for k, name in enumerate(names)}
      return nn.meta.unbox(flagged.init(rngs, *args, **keywords, **flags, method=ready.case.method))

    run = jax.jit(initialise)
    return [arrays_of(run(jax.random.key(k), ready.inputs.arrays)) for k in range(SAMPLES)]


def root_of(module: Any) -> Path:
  """Returns what source lines are told relative to: this folder, or what the module's package lies in."""
  file = Path(inspect.getfile(type(module))).resolve()
  depth = type(module).__module__.count('.')
  return Path.cwd() if file.is_relative_to(Path.cwd()) else file.parents[depth]


class NnxPort(NnxSide):
  """Serves requests about one live NNX module.

  port: which leaf and module is which; modules that only draw are among them.
  make: constructs the module anew, or copies it where no constructor is known.
  chain: the optimizer, if it is no text of the case.
  """

  def __init__(self, ready: nnx_side.Prepared, port: PortMap, make: Callable[[], nnx.Module], chain: Any = None):
    super().__init__(root_of(ready.model))
    self._prepared, self._port, self._make, self._given_chain = ready, port, make, chain

  def _chain(self, case: Case) -> Any:
    return super()._chain(case) if self._given_chain is None else self._given_chain

  def describe(self, message: Message) -> Message:
    ready = self._ready()
    variables = {tuple(path): abstract(shape, dtype) for path, shape, dtype in message.body['variables']}

    def call_of(model: nnx.Module, mode: str) -> Any:
      return self._call(ready, model, mode)[0]

    optimizer = self._chain(ready.case) if ready.case.optimizer else None
    # The model with its numbers: plain arrays among its attributes are no weights, and calls may need them.
    self._programs = NnxPrograms(AbstractModel(nnx.clone(ready.model), self._port.leaves, variables), self._make, call_of,
                                 nested(variables), ready.inputs, optimizer)
    modules = [['/'.join(linen), '/'.join(map(str, own))] for linen, own in self._port.modules.items()]
    return Message({'digest': '', 'leaves': len(self._port.leaves.rules), 'modules': modules})

  def prepare(self, message: Message) -> Message:
    ready = self._ready()
    return Message({'digest': ''}, in_group('variables', ready.weights.to_linen(nnx.state(ready.model))))

  def _keyed(self, ready: nnx_side.Prepared, message: Message) -> tuple[nnx.Module, list[str], list[str]]:
    if message.body['keys'] == 'constant':
      return super()._keyed(ready, message)
    model, data, paths = nnx.clone(ready.model), message.group('keys'), self._port.modules
    draws = {(tuple(path), stream): data[(str(k),)] for k, (path, stream) in enumerate(message.body['draws'])}
    return model, replay(model, _merged(draws, paths), paths), []


def _merged(draws: dict[Any, np.ndarray], paths: Mapping[Any, Any]) -> dict[Any, np.ndarray]:
  """Joins what several Linen modules draw where one NNX module stands for all of them."""
  groups: dict[Any, list[Any]] = {}
  for path, stream in draws:
    groups.setdefault((paths.get(path, ('not placed', *path)), stream), []).append((path, stream))
  return {group[0]: np.concatenate([draws[draw] for draw in group], axis=1) for group in groups.values()}


class PortWeights(WeightMap):
  """The leaf map of a live model; making it loads the variables into the model."""

  def __init__(self, model: nnx.Module, flat: Mapping[tuple[str, ...], Any], leaf_map: LeafMap):
    self._template, self._map = {path: np.asarray(array) for path, array in flat.items()}, leaf_map
    held = nnx_leaves.weights(model)
    values = convert_state.checked(leaf_map, transform.forward(leaf_map, flat), held)
    for path, value in values.items():
      held[path].set_value(jax.numpy.asarray(value))


class LocalWorker:
  """Answers messages in this process, with the interface of a worker process."""

  alive = True

  def __init__(self, side: str, serves: Any):
    self.side = side
    self._serves = serves
    self._waiting: queue.Queue[Message] = queue.Queue()

  def post(self, message: Message) -> None:
    self._waiting.put(message)

  def ask(self, message: Message, timeout: float) -> Message:
    """Returns the answer to a message; raises WorkerError."""
    self.post(message)
    answer = self.outcome(timeout)
    if isinstance(answer, WorkerError):
      raise answer
    return answer

  def outcome(self, timeout: float) -> Message | WorkerError:
    """Returns the answer to the oldest message; what the user's code raises is an error with its place."""
    message = self._waiting.get_nowait()
    try:
      answer: Message = getattr(self._serves, message.body['do'])(message)
      return answer
    except Exception as error:
      return WorkerError(f'{type(error).__name__}: {error}', ''.join(traceback.format_exception(error)[-3:]))


def call_inputs(args: tuple[Any, ...], keywords: Mapping[str, Any]) -> CallInputs:
  """Returns the call's inputs; shapes without numbers (jax.ShapeDtypeStruct) become random arrays."""
  from migrator.equivalence.inputs import ArraySpec, make_array

  def filled(path: Any, leaf: Any) -> Any:
    if not isinstance(leaf, jax.ShapeDtypeStruct):
      return leaf
    bound = 2 if np.issubdtype(leaf.dtype, np.integer) else None
    return make_array(ArraySpec(str(leaf.dtype), leaf.shape, bound), jax.tree_util.keystr(path))

  return CallInputs.of_values(*jax.tree_util.tree_map_with_path(filled, (args, dict(keywords))))
