"""The proofs of one case: asks both workers for programs, climbs the ladder for every mode."""
from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

from migrator.equivalence.cases import Case
from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.proof.audit import audit, draws_of
from migrator.equivalence.proof.boundaries_read import borders_of
from migrator.equivalence.proof.draws import DRAW, draw_marks, draw_names, marks_of
from migrator.equivalence.proof.explain import difference
from migrator.equivalence.proof.initial import compare_initial
from migrator.equivalence.proof.interpret import Marks
from migrator.equivalence.proof.ladder import Climb, climb, deep_recursion
from migrator.equivalence.proof.locate import cut
from migrator.equivalence.proof.modules import LEAF, NO_GRADIENT, UNCALLED, differences, judged
from migrator.equivalence.proof.program import Program, from_json
from migrator.equivalence.proof.rules import exact_rules, order_rules
from migrator.equivalence.proof.shapes import PLANS
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.verdict import ModeProof, ModuleVerdict, OutputVerdict, Verdict, rank, worst
from migrator.equivalence.protocol import Message
from migrator.manifest import Manifest

WEIGHTS = 'weights'
SEEDS = (1, 2)
AUDITED = 'audited'
SINGLE = 'batch of one'
STEPS = 'a step equal from any parameters and any optimizer state is any number of equal steps'
DISTRIBUTION = 'every variable is the same function of its own key; the numbers of a seed are not the same'
TRACED = 'what Python decides while tracing (flags, dtypes, sizes) is proved for the values of the case'
COMPILED = 'equal programs are compiled to equal code'
KEYS = 'the k-th key a module draws is the same on both sides; whether keys are independent is the audit of keys'
ONE_KEY = 'random keys could not be aligned: every draw used one same key on both sides'


@dataclasses.dataclass(frozen=True)
class Pair:
  """The two programs of one kind and mode, and the plan of shapes they were traced for."""

  kind: str
  mode: str
  plan: str
  keys: str
  linen: Program
  nnx: Program
  linen_hash: str
  nnx_hash: str


class CaseProof:
  """Proves one case with two workers.

  proofs of modes that cannot be traced say why; only a worker that ended raises WorkerError.
  modes: those to prove ('eval', 'train', 'gradient', 'step', 'batch of one', 'init', 'keys'); None for all.
  """

  def __init__(self, case: Case, manifest: Manifest, linen: WorkerProcess, nnx: WorkerProcess,
               timeout: float, modes: Sequence[str] | None = None):
    self._wanted = modes
    self.parameters = 0
    self._case, self._manifest, self._timeout = case, manifest, timeout
    self._linen, self._nnx = linen, nnx
    self._plans: list[str] = []
    self._other_streams: set[str] = set()
    self._linen_paths: dict[str, str] = {}
    self._found: dict[tuple[str, str], tuple[ModuleVerdict, ...]] = {}
    self._hashes: dict[tuple[tuple[str, str], ...], str] = {}

  def proofs(self) -> tuple[ModeProof, ...]:
    """Returns the proofs of all modes; the first is that every leaf has its place."""
    first = self._described()
    if first.verdict is not Verdict.SAME_PROGRAM:
      return (first,)
    modes = [mode for mode in ('eval', 'train') if getattr(self._case, mode) is not None]
    found = [first]
    for mode in modes:
      found += self._guarded(mode, functools.partial(self._forward, mode))
    if self._case.gradients:
      found += self._guarded('gradient', lambda: [self._gradient(modes[-1])])
      if self._case.optimizer and found[-1].mode == 'gradient':
        found += self._guarded('step', lambda: [self._step(found[-1])])
    if PLANS[self._plans[0]].batch:
      found += self._guarded(SINGLE, lambda: [self._single(modes[-1])])
    found += self._guarded('init', lambda: [self._initial()])
    if self._case.rngs:
      found += self._guarded('keys', lambda: [self._audited(modes[-1])])
    return tuple(found)

  def _guarded(self, mode: str, proved: Callable[[], list[ModeProof]]) -> list[ModeProof]:
    """Returns the proofs of a mode; if the prover itself fails, nothing is claimed and the other modes go on."""
    if not self._wants(mode):
      return []
    try:
      return proved()
    except WorkerError:
      raise
    except Exception as error:
      words = ' '.join(str(error).split())[:300]
      return [ModeProof(mode, Verdict.NOT_PROVED, reason=f'the prover failed ({type(error).__name__}: {words}); please report it')]

  def _wants(self, mode: str) -> bool:
    return self._wanted is None or mode in self._wanted

  def modules(self) -> tuple[tuple[str, str], ...]:
    """Returns (Linen path, NNX path) of every module known on both sides, once proved."""
    return tuple(sorted((linen, own) for own, linen in self._linen_paths.items()))

  def hashes(self) -> tuple[tuple[tuple[tuple[str, str], ...], str], ...]:
    """Returns what was asked of which side, and the hash of the program it traced; as `recheck` reads it."""
    return tuple(self._hashes.items())

  def _note(self, side: str, asked: Message, answer: Message) -> None:
    if 'hash' in answer.body and not asked.body['calls']:
      words = tuple((name, asked.body[name]) for name in ('kind', 'mode', 'plan', 'keys'))
      self._hashes[('side', side), *words] = answer.body['hash']

  def _described(self) -> ModeProof:
    body = {'do': 'describe', 'case': self._case.to_json()}
    try:
      linen = self._ask(self._linen, Message(body)).body
      given = {**body, 'manifest': self._manifest.to_json(), 'variables': linen['variables']}
      nnx = self._ask(self._nnx, Message(given)).body
    except WorkerError as error:
      return _not_proved(WEIGHTS, error)
    self.parameters = sum(math.prod(shape) for _, shape, _ in linen['variables'])
    if 'misfit' in nnx:
      return ModeProof(WEIGHTS, Verdict.DIFFERS, outputs=len(linen['variables']), reason=nnx['misfit'])
    self._plans, self._linen_paths = linen['plans'], {own: path for path, own in nnx['modules']}
    words = 'every leaf of either side is used exactly once, with its shape and dtype'
    return ModeProof(WEIGHTS, Verdict.SAME_PROGRAM, outputs=nnx['leaves'], assumptions=(words,))

  def _forward(self, mode: str) -> list[ModeProof]:
    try:
      pair, climbed = self._best('forward', mode)
    except WorkerError as error:
      return [_not_proved(mode, error)]
    found = [self._judged(mode, pair, climbed, ('output',))]
    state = self._judged(f'{mode} state', pair, climbed, ('state',))
    return found + ([state] if state.outputs else [])

  def _gradient(self, mode: str) -> ModeProof:
    try:
      pair, climbed = self._best('gradient', mode)
    except WorkerError as error:
      return _not_proved('gradient', error)
    return self._judged('gradient', pair, climbed, ('gradient',))

  def _single(self, mode: str) -> ModeProof:
    """A batch of one: symbols stand for two and more, because arrays of size one are broadcast."""
    try:
      pair = self._pair('forward', mode, SINGLE)
      climbed = climb(pair.linen, pair.nnx, functools.partial(self._marks, pair))
      climbed = self._evaluated(pair, climbed) if _open(climbed) else climbed
    except WorkerError as error:
      return _not_proved(SINGLE, error)
    return self._judged(SINGLE, pair, climbed, ('output', 'state'))

  def _step(self, gradient: ModeProof) -> ModeProof:
    """The optimizer's step on equal gradients; with them it is a whole training step, and so any number."""
    if not gradient.outputs:
      return ModeProof('step', Verdict.NOT_PROVED, reason='the gradients are not proved')
    try:
      pair = self._pair('step', 'train', 'case')
      climbed = climb(pair.linen, pair.nnx)
      climbed = self._evaluated(pair, climbed) if _open(climbed) else climbed
    except WorkerError as error:
      return _not_proved('step', error)
    found = self._judged('step', pair, climbed, ('params', 'optimizer'))
    return dataclasses.replace(
      found, verdict=worst((found.verdict, gradient.verdict)), shapes=gradient.shapes,
      assumptions=(*found.assumptions, f'the step of {self._case.optimizer} on the gradients of mode gradient', STEPS),
      reason=found.reason or (gradient.reason and f'the gradients differ: {gradient.reason}'))

  def _initial(self) -> ModeProof:
    try:
      pair = self._pair('init', 'eval', 'case')
    except WorkerError as error:
      return _not_proved('init', error)
    outputs = compare_initial(pair.linen, pair.nnx)
    return self._summed('init', pair, outputs, (DISTRIBUTION,))

  def _audited(self, mode: str) -> ModeProof:
    plan = self._plans[-1]
    try:
      linen = _program(self._ask(self._linen, trace_request('forward', mode, plan, 'recorded')))
      nnx = _program(self._ask(self._nnx, trace_request('audit', mode, plan, 'recorded')))
    except WorkerError as error:
      return _not_proved('keys', error)
    drawn = draws_of(linen, DRAW)
    verdict, reason = audit(drawn, draws_of(nnx, AUDITED))
    if self._other_streams:
      verdict, reason = Verdict.DIFFERS, '; '.join(sorted(self._other_streams))
    words = ('jax.random gives independent numbers for different keys',)
    return ModeProof('keys', verdict, PLANS[plan].words, drawn.count, assumptions=words, reason=reason)

  def _best(self, kind: str, mode: str) -> tuple[Pair, Climb]:
    """Returns the programs for the most general shapes that are proved, or else for those of the case."""
    for plan in list(self._plans):
      try:
        pair = self._pair(kind, mode, plan)
      except WorkerError as problem:
        if problem.dead or plan == self._plans[-1]:
          raise
        self._plans.remove(plan)
        continue
      climbed = climb(pair.linen, pair.nnx, functools.partial(self._marks, pair))
      if plan == self._plans[-1] or not _open(climbed):
        return pair, climbed if not _open(climbed) else self._evaluated(pair, climbed)
    raise WorkerError('there is no plan of shapes')

  def _evaluated(self, pair: Pair, climbed: Climb) -> Climb:
    """Returns the climb with verdicts for the outputs left open, from random points of a prime field."""
    names = _open(climbed)
    try:
      equal = set(names)
      for seed in SEEDS:
        # One point where they differ is enough; only equality needs more.
        plain = self._fingerprints(pair, [seed], False) if equal else ({}, {})
        equal = {name for name in equal if plain[0].get(name) == plain[1].get(name)}
      rounded = self._fingerprints(pair, SEEDS[:1], True) if equal else ({}, {})
    except WorkerError as error:
      if error.dead:
        raise
      return dataclasses.replace(climbed, why=' '.join(str(error).split()))
    found = {name: Verdict.DIFFERS if name not in equal else Verdict.SAME_FUNCTION
             if rounded[0][name] == rounded[1][name] else Verdict.OTHER_PRECISION for name in names}
    return dataclasses.replace(climbed, verdicts={**climbed.verdicts, **found})

  def _fingerprints(self, pair: Pair, seeds: Sequence[int], rounds: bool,
                    borders: bool = False) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Returns the hashes of outputs, and of what is at the borders of modules if these are cut."""
    sides: tuple[tuple[Program, Callable[[str], str]], ...] = ((pair.linen, str), (pair.nnx, self._linen_path))
    requests = []
    of_borders = [borders_of(program, path) if borders else {} for program, path in sides]
    shared = set(of_borders[0].values()) & set(of_borders[1].values())
    for (program, path), found in zip(sides, of_borders):
      names = {mark: border.text() for mark, border in found.items() if border in shared and border.path}
      requests.append(Message({'do': 'fingerprint', 'seeds': list(seeds), 'rounds': rounds,
                               'draws': draw_names(program, path), 'borders': names}))
    linen, nnx = self._both(*requests)
    return linen.body['outputs'], nnx.body['outputs']

  def _pair(self, kind: str, mode: str, plan: str, keys: str = 'recorded', calls: bool = False) -> Pair:
    request = trace_request(kind, mode, plan, keys, calls)
    linen, nnx = self._both(request, request)
    pair = Pair(kind, mode, plan, keys, _program(linen), _program(nnx), linen.body['hash'], nnx.body['hash'])
    if keys == 'recorded' and self._draws(pair.linen, False) != self._draws(pair.nnx, True):
      self._other_streams |= self._in_other_streams(pair)
      return self._pair(kind, mode, plan, 'constant', calls)
    return pair

  def _in_other_streams(self, pair: Pair) -> set[str]:
    """Returns, in words, the modules that draw from another stream than their counterpart."""
    theirs, own = self._draws(pair.linen, False), self._draws(pair.nnx, True)
    places = {place for place, _ in theirs} & {place for place, _ in own}
    return {f'{place or "the model"} draws from {_streams(theirs, place)} in Linen, from {_streams(own, place)} in NNX'
            for place in places if _streams(theirs, place) != _streams(own, place)}

  def _draws(self, program: Program, is_nnx: bool) -> set[tuple[str, str]]:
    places = {tuple(mark.split('|')[1:3]) for mark in marks_of(program, DRAW)}
    return {(self._linen_path(place) if is_nnx else place, stream) for place, stream in places}

  def _linen_path(self, place: str) -> str:
    return self._linen_paths.get(place, f'NNX {place}')

  def _marks(self, pair: Pair, table: Table) -> tuple[Marks, Marks]:
    return draw_marks(table, pair.linen, str), draw_marks(table, pair.nnx, self._linen_path)

  def _judged(self, mode: str, pair: Pair, climbed: Climb, groups: Sequence[str]) -> ModeProof:
    names = [name for name in dict.fromkeys((*climbed.reading.linen, *climbed.reading.nnx))
             if name.split('/')[0] in groups]
    proof = self._summed(mode, pair, [_output(name, climbed) for name in names], self._assumptions(pair))
    if proof.verdict.is_exact or mode == SINGLE or pair.kind not in ('forward', 'gradient'):
      return proof
    return dataclasses.replace(proof, modules=self._located(pair, proof))

  def _located(self, pair: Pair, proof: ModeProof) -> tuple[ModuleVerdict, ...]:
    """Returns the modules that differ: traced again with the borders of modules marked."""
    key = (pair.kind, pair.mode)
    if key not in self._found:
      self._found[key] = self._located_anew(pair, proof)
    found = self._found[key]
    if proof.verdict.is_equal:
      # All outputs are the same function, so no module can compute another; what is only on one side does not count.
      found = tuple(dataclasses.replace(module, verdict=proof.verdict) if module.verdict is Verdict.DIFFERS
                    else module for module in found if module.cause not in UNCALLED and not module.cause.startswith(NO_GRADIENT))
    groups = {item.name.split('/')[0] for item in proof.lower}
    names = {'/'.join(item.name.split('/')[2:-1]) for item in proof.lower}
    return tuple(module for module in found
                 if module.place != LEAF or groups & {'state', 'gradient'} and module.linen in names)

  def _located_anew(self, pair: Pair, proof: ModeProof) -> tuple[ModuleVerdict, ...]:
    try:
      marked = self._pair(pair.kind, pair.mode, self._plans[-1], pair.keys, calls=True)
    except WorkerError as error:
      if error.dead:
        raise
      return ()
    with deep_recursion():
      read = cut(marked.linen, marked.nnx, self._linen_path, exact_rules())
      placed = set(self._linen_paths.values())
      found = differences(read, placed)
      swapped = cut(marked.linen, marked.nnx, self._linen_path, order_rules())
      left = {item.key for item in differences(swapped, placed)}
    verdicts = {item.key: Verdict.SAME_UP_TO_ORDER for item in found if item.key and item.key not in left}
    verdicts |= self._judged_alone(marked, {item.key for item in found if item.key in left and item.key})
    paths = {linen: own for own, linen in self._linen_paths.items()}
    return judged(read, found, verdicts, paths)

  def _judged_alone(self, pair: Pair, keys: set[str]) -> dict[str, Verdict]:
    """Returns the verdict of differences at cut borders from random points, where it is better than differs."""
    if not keys:
      return {}
    try:
      plain = self._fingerprints(pair, SEEDS[:1], False, True)
      same = {key for key in keys if key in plain[0] and plain[0][key] == plain[1].get(key)}
      rounded = self._fingerprints(pair, SEEDS[:1], True, True) if same else ({}, {})
    except WorkerError as error:
      if error.dead:
        raise
      return {}
    return {key: Verdict.SAME_FUNCTION if rounded[0].get(key) == rounded[1].get(key) else Verdict.OTHER_PRECISION
            for key in same}

  def _summed(self, mode: str, pair: Pair, outputs: Sequence[OutputVerdict],
              assumptions: tuple[str, ...]) -> ModeProof:
    lower = sorted((item for item in outputs if item.verdict is not Verdict.SAME_PROGRAM),
                   key=lambda item: -rank(item.verdict))
    verdict = worst(item.verdict for item in outputs)
    reason = f'{lower[0].name}: {lower[0].detail}' if lower and not verdict.is_equal else ''
    return ModeProof(mode, verdict, PLANS[pair.plan].words, len(outputs), tuple(lower), assumptions, (),
                     pair.linen_hash, pair.nnx_hash, pair.linen.size(), pair.nnx.size(), reason)

  def _assumptions(self, pair: Pair) -> tuple[str, ...]:
    drawn = bool(marks_of(pair.linen, DRAW) or marks_of(pair.nnx, DRAW))
    keys = [] if not drawn else [KEYS if pair.keys == 'recorded' else ONE_KEY]
    return (TRACED, COMPILED, *keys)

  def _both(self, linen: Message, nnx: Message) -> tuple[Message, Message]:
    """Lets both sides work at the same time; both answers are fetched before either's failure is raised."""
    self._linen.post(linen)
    self._nnx.post(nnx)
    answers = [(worker, worker.outcome(self._timeout)) for worker in (self._linen, self._nnx)]
    for worker, answer in answers:
      if isinstance(answer, WorkerError):
        raise WorkerError(f'{worker.side}: {answer}', answer.trace, answer.dead)
    first, second = (answer for _, answer in answers if isinstance(answer, Message))
    self._note('linen', linen, first)
    self._note('nnx', nnx, second)
    return first, second

  def _ask(self, worker: WorkerProcess, message: Message) -> Message:
    try:
      answer = worker.ask(message, self._timeout)
      self._note(worker.side, message, answer)
      return answer
    except WorkerError as error:
      raise WorkerError(f'{worker.side}: {error}', error.trace, error.dead) from None


def trace_request(kind: str, mode: str, plan: str, keys: str, calls: bool = False) -> Message:
  return Message({'do': 'trace', 'kind': kind, 'mode': mode, 'plan': plan, 'keys': keys, 'calls': calls})


def _streams(draws: set[tuple[str, str]], place: str) -> str:
  return ' and '.join(sorted(stream for other, stream in draws if other == place))


def _program(message: Message) -> Program:
  return from_json(message.body['program'], message.group('constants'))


def _open(climbed: Climb) -> set[str]:
  """The outputs of both sides that have no verdict yet."""
  return (climbed.reading.linen.keys() & climbed.reading.nnx.keys()) - climbed.verdicts.keys()


def _output(name: str, climbed: Climb) -> OutputVerdict:
  verdict, reading = climbed.verdicts.get(name), climbed.reading
  if verdict is Verdict.SAME_PROGRAM:
    return OutputVerdict(name, verdict)
  if name not in reading.linen or name not in reading.nnx:
    side = 'NNX' if name in reading.nnx else 'Linen'
    return OutputVerdict(name, Verdict.DIFFERS, f'only {side} has it')
  words = difference(reading.table, reading.linen[name], reading.nnx[name])
  return OutputVerdict(name, verdict or Verdict.NOT_PROVED, words if verdict else '; '.join((words, climbed.why)))


def _not_proved(mode: str, error: WorkerError) -> ModeProof:
  if error.dead:
    raise error
  return ModeProof(mode, Verdict.NOT_PROVED, reason=' '.join(str(error).split()))
