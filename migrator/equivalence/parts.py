"""One case from start to end: which parts there are, and what is compared with what."""
from __future__ import annotations

import dataclasses

import numpy as np

from migrator.equivalence import rounding, training_steps, verdicts
from migrator.equivalence.cases import Case
from migrator.equivalence.compare import compare_trees
from migrator.equivalence.extra_inputs import KINDS
from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.protocol import Message, Path, in_group
from migrator.equivalence.verdicts import CaseResult, PartResult
from migrator.manifest import Manifest

# A gradient that cancels to rounding noise is measured against the gradients around it.
GRADIENT_FLOOR = 0.1
Tree = dict[Path, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Keys:
  """How random keys are made equal: 'recorded' (Linen's own, replayed) or 'constant'; words say so."""

  kind: str
  words: tuple[str, ...] = ()


class CaseRun:
  """Asks both workers for the parts of one case.

  steps: training steps to run side by side; 0 for none.
  step_is_proved: whether one step is proved to be the same real function, so that numbers only cross-check it.
  """

  def __init__(self, case: Case, manifest: Manifest, linen: WorkerProcess, nnx: WorkerProcess,
               timeout: float, steps: int = 0, step_is_proved: bool = False):
    self._steps, self._step_is_proved = steps, step_is_proved
    self._kinds = KINDS if case.extra_inputs else ()
    self._case, self._manifest, self._timeout = case, manifest, timeout
    self._linen, self._nnx = linen, nnx
    self._variables: Tree = {}

  def result(self) -> CaseResult:
    """Returns the result of the case; a part that cannot be run is an 'error' and the others go on.

    Raises:
      WorkerError: the case cannot be prepared, or a worker ended.
    """
    parts = [self.prepare()]
    if parts[0].verdict == verdicts.DIFFERS:
      return CaseResult(self._case.name, self._case.model, tuple(parts))
    for mode in ('eval', 'train'):
      parts += self._mode(mode)
    if self._steps and self._case.train is not None and self._case.gradients and self._case.optimizer:
      parts.append(self.trained())
    return CaseResult(self._case.name, self._case.model, tuple(parts))

  def prepare(self) -> PartResult:
    """Builds both models and loads Linen's random variables into the NNX one; the part says whether all have a place."""
    body = {'do': 'prepare', 'case': self._case.to_json()}
    linen = self._side(self._linen, Message(body))
    self._variables = linen.group('variables')
    arrays = in_group('variables', self._variables)
    nnx = self._side(self._nnx, Message({**body, 'manifest': self._manifest.to_json()}, arrays))
    if linen.body['digest'] != nnx.body['digest']:
      raise WorkerError('the inputs are not the same on both sides: an =expression of the case gives other '
                        'numbers every time; seed it')
    if 'misfit' in nnx.body:
      count, why = len(self._variables), nnx.body['misfit']
      return PartResult(verdicts.VARIABLES, verdicts.DIFFERS, why, count, needed=None)
    # Loading must be lossless: this is the one part whose tolerance is zero.
    return compare_trees(verdicts.VARIABLES, self._variables, nnx.group('variables'), 0.0, vacuous=_never)

  def _mode(self, mode: str) -> list[PartResult]:
    if getattr(self._case, mode) is None:
      return [PartResult(mode, verdicts.NOT_COMPARED, f'the case gives no flags for {mode}')]
    try:
      keys, linen, nnx = self._forward(mode)
    except WorkerError as error:
      return [_error(mode, error)]
    notes = [*keys.words, *nnx.body['notes']]
    tolerance = self._case.tolerance
    parts = [compare_trees(mode, linen.group('output'), nnx.group('output'), tolerance, notes=notes)]
    parts += self._state(mode, linen, nnx)
    parts += self._extra(mode, keys, linen, nnx)
    # Gradients belong to training; a case without training still shows them in evaluation.
    wanted = self._case.gradients and (mode == 'train' or self._case.train is None)
    return parts + (self._gradients(mode, keys, linen) if wanted else [])

  def _forward(self, mode: str) -> tuple[Keys, Message, Message]:
    """Runs both sides with Linen's keys, or with one constant key where they cannot be aligned."""
    extra = list(self._kinds) if mode == ('train' if self._case.eval is None else 'eval') else []
    request = Message({**_request('forward', mode, 'recorded').body, 'extra': extra})
    if self._case.rngs:
      linen = self._side(self._linen, request)
      problems = [f'{path} draws both inside and outside of a loop' for path in linen.body['irregular']]
      nnx = linen if problems else self._side(self._nnx, _with_keys(request, linen))
    else:
      linen, nnx = self._both(request, request)
      problems = []
    problems = problems or nnx.body['unaligned']
    if not problems:
      drawn = len(linen.body['draws'])
      words = (f'random keys: {drawn} of Linen replayed',) if drawn else ()
      return Keys('recorded', words), linen, nnx
    constant = Message({**request.body, 'keys': 'constant'})
    words = ('random keys: not aligned, so every draw used one same key on both sides, and whether draws are '
             f'independent was not compared ({"; ".join(problems)})',)
    return Keys('constant', words), *self._both(constant, constant)

  def _extra(self, mode: str, keys: Keys, linen: Message, nnx: Message) -> list[PartResult]:
    """Compares the outputs for extra inputs that Linen takes."""
    tolerance, parts = self._case.tolerance, []
    for kind in self._kinds:
      name, reference = f'{mode}, {kind}', linen.group(kind)
      if reference and kind in nnx.body['refused']:
        parts.append(PartResult(name, verdicts.ERROR, f'only NNX refuses them: {nnx.body["refused"][kind]}'))
      elif reference:
        part = compare_trees(name, reference, nnx.group(kind), tolerance)
        parts.append(self._measured(part, mode, keys, kind, reference, nnx.group(kind)) if rounding.is_open(part) else part)
    return parts

  def _measured(self, part: PartResult, mode: str, keys: Keys, kind: str, linen: Tree, nnx: Tree) -> PartResult:
    """Compares once more, with what rounding alone does to Linen's output."""
    asked = {**_request('forward', mode, keys.kind).body, 'extra': [kind], 'moved': list(rounding.MOVED)}
    try:
      moved = self._side(self._linen, Message(asked))
    except WorkerError as error:
      return _error(part.name, error)
    runs = [moved.group(f'{kind}, {word}') for word in rounding.MOVED]
    allowed, words = rounding.allowance(linen, runs)
    return compare_trees(part.name, linen, nnx, self._case.tolerance, allowed=allowed, notes=(*part.notes, *words))

  def _state(self, mode: str, linen: Message, nnx: Message) -> list[PartResult]:
    """Compares what the call left in the collections; nothing else may have changed in NNX."""
    before, changes = self._variables, self._case.mutable if mode == 'train' else self._case.eval_mutable
    name, reference, found = f'{mode} state', linen.group('state'), nnx.group('state')
    changed = nnx.body['changed params']
    if changed:
      reason = f'the call changed parameters in NNX, which Linen never does: {", ".join(changed[:3])}'
      return [PartResult(name, verdicts.DIFFERS, reason, len(changed), needed=None)]
    if not reference and not found:
      return []

    def unchanged(path: Path, array: np.ndarray) -> bool:
      old = before.get(path)
      return old is not None and old.tobytes() == array.tobytes()

    idle = unchanged if changes else _never
    return [compare_trees(name, reference, found, self._case.tolerance, vacuous=idle)]

  def _gradients(self, mode: str, keys: Keys, drawn: Message) -> list[PartResult]:
    names = (f'{mode} gradient of params', f'{mode} gradient of inputs')
    request = _request('gradient', mode, keys.kind)
    try:
      replayed = _with_keys(request, drawn) if keys.kind == 'recorded' else request
      linen, nnx = self._both(request, replayed)
    except WorkerError as error:
      return [_error(names[0], error)]
    if nnx.body['unaligned']:
      return [PartResult(names[0], verdicts.ERROR, '; '.join(nnx.body['unaligned']))]
    return [compare_trees(name, linen.group(group), nnx.group(group), self._case.tolerance,
                          floor=GRADIENT_FLOOR)
            for name, group in zip(names, ('params', 'inputs'), strict=True)]

  def trained(self) -> PartResult:
    """Compares losses and parameters after some steps, with what rounding alone does to them in Linen; once prepared."""
    name, tolerance = f'{self._steps} training steps', self._case.tolerance * self._steps
    notes = (f'with {self._case.optimizer}; every draw used one same key on both sides',)
    try:
      request = training_steps.request('train', self._steps)
      linen, nnx = (answer.group('steps') for answer in self._both(request, request))
      part = training_steps.compared(name, linen, nnx, tolerance, notes)
      if not rounding.is_open(part):
        return part
      moved = self._side(self._linen, training_steps.request('train', self._steps, rounding.MOVED))
    except WorkerError as error:
      return _error(name, error)
    runs = [moved.group(word) for word in rounding.MOVED]
    return training_steps.compared(name, linen, nnx, tolerance, notes, runs, self._step_is_proved)

  def _both(self, linen: Message, nnx: Message) -> tuple[Message, Message]:
    """Lets both sides work at the same time; both answers are fetched before either's failure is raised."""
    self._linen.post(linen)
    self._nnx.post(nnx)
    try:
      first = self._answer(self._linen)
    finally:
      second = self._nnx.outcome(self._timeout)
    if isinstance(second, WorkerError):
      raise _of_side(self._nnx, second)
    return first, second

  def _side(self, worker: WorkerProcess, message: Message) -> Message:
    worker.post(message)
    return self._answer(worker)

  def _answer(self, worker: WorkerProcess) -> Message:
    answer = worker.outcome(self._timeout)
    if isinstance(answer, WorkerError):
      raise _of_side(worker, answer)
    return answer


def _of_side(worker: WorkerProcess, error: WorkerError) -> WorkerError:
  return WorkerError(f'{worker.side}: {error}', error.trace, error.dead)


def _request(action: str, mode: str, keys: str) -> Message:
  return Message({'do': action, 'mode': mode, 'keys': keys, 'draws': []})


def _with_keys(message: Message, linen: Message) -> Message:
  """Returns the request with the keys Linen drew."""
  return Message({**message.body, 'draws': linen.body['draws']}, in_group('keys', linen.group('keys')))


def _never(path: Path, array: np.ndarray) -> bool:
  return False


def _error(name: str, error: WorkerError) -> PartResult:
  if error.dead:
    raise error
  return PartResult(name, verdicts.ERROR, f'{error}\n{error.trace}'.strip())
