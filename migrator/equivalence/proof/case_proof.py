"""The proofs of one case: asks both workers for programs, climbs the ladder for every mode."""
from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence

from migrator.equivalence.cases import Case
from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.proof.audit import audit, draws_of
from migrator.equivalence.proof.draws import DRAW, draw_marks, marks_of
from migrator.equivalence.proof.explain import difference
from migrator.equivalence.proof.initial import compare_initial
from migrator.equivalence.proof.initial_keys import with_shared_keys
from migrator.equivalence.proof.interpret import Marks
from migrator.equivalence.proof.ladder import Climb, climb
from migrator.equivalence.proof.pairs import RECORDED, Pair, Programs
from migrator.equivalence.proof.placing import Locator
from migrator.equivalence.proof.points import evaluated, open_outputs
from migrator.equivalence.proof.shapes import PLANS
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.verdict import ModeProof, OutputVerdict, Verdict, rank, worst
from migrator.equivalence.protocol import Message
from migrator.manifest import Manifest

# The innermost call in the user's source, as a worker tells it.
_FRAME = re.compile(r'^ +\S+:\d+ in .*')
WEIGHTS = 'weights'
AUDITED = 'audited'
SINGLE = 'batch of one'
STEPS = 'a step equal from any parameters and any optimizer state is any number of equal steps'
DISTRIBUTION = 'every variable is the same function of its own key; the numbers of a seed are not the same'
TRACED = 'what Python decides while tracing (flags, dtypes, sizes) is proved for the values of the case'
COMPILED = 'equal programs are compiled to equal code'
KEYS = 'the k-th key a module draws is the same on both sides; whether keys are independent is the audit of keys'
ONE_KEY = 'random keys could not be aligned: every draw used one same key on both sides'


class CaseProof:
  """Proves one case with two workers.

  proofs of modes that cannot be traced say why; only a worker that ended raises WorkerError.
  modes: those to prove ('eval', 'train', 'gradient', 'step', 'batch of one', 'init', 'keys'); None for all.
  """

  def __init__(self, case: Case, manifest: Manifest, linen: WorkerProcess, nnx: WorkerProcess,
               timeout: float, modes: Sequence[str] | None = None):
    self._wanted = modes
    self.parameters = 0
    self._case, self._manifest = case, manifest
    self._programs = Programs(linen, nnx, timeout)
    self._locator = Locator(self._programs)
    self._plans: list[str] = []

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
    return tuple(sorted((linen, own) for own, linen in self._programs.linen_paths.items()))

  def hashes(self) -> tuple[tuple[tuple[tuple[str, str], ...], str], ...]:
    """Returns what was asked of which side, and the hash of the program it traced; as `recheck` reads it."""
    return tuple(self._programs.hashes.items())

  def _described(self) -> ModeProof:
    body = {'do': 'describe', 'case': self._case.to_json()}
    try:
      linen = self._programs.ask(self._programs.linen, Message(body)).body
      given = {**body, 'manifest': self._manifest.to_json(), 'variables': linen['variables']}
      nnx = self._programs.ask(self._programs.nnx, Message(given)).body
    except WorkerError as error:
      return _not_proved(WEIGHTS, error)
    self.parameters = sum(math.prod(shape) for _, shape, _ in linen['variables'])
    if 'misfit' in nnx:
      return ModeProof(WEIGHTS, Verdict.DIFFERS, outputs=len(linen['variables']), reason=nnx['misfit'])
    self._plans, self._programs.linen_paths = linen['plans'], {own: path for path, own in nnx['modules']}
    words = 'every leaf of either side is used exactly once, with its shape and dtype'
    notes = (words, nnx['note']) if nnx.get('note') else (words,)
    return ModeProof(WEIGHTS, Verdict.SAME_PROGRAM, outputs=nnx['leaves'], assumptions=notes)

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
      pair = self._programs.pair('forward', mode, SINGLE)
      climbed = climb(pair.linen, pair.nnx, functools.partial(self._marks, pair))
      climbed = evaluated(self._programs, pair, climbed)
    except WorkerError as error:
      return _not_proved(SINGLE, error)
    return self._judged(SINGLE, pair, climbed, ('output', 'state'))

  def _step(self, gradient: ModeProof) -> ModeProof:
    """The optimizer's step on equal gradients; with them it is a whole training step, and so any number."""
    if not gradient.outputs:
      return ModeProof('step', Verdict.NOT_PROVED, reason='the gradients are not proved')
    try:
      pair = self._programs.pair('step', 'train', 'case')
      climbed = climb(pair.linen, pair.nnx)
      climbed = evaluated(self._programs, pair, climbed)
    except WorkerError as error:
      return _not_proved('step', error)
    found = self._judged('step', pair, climbed, ('params', 'optimizer'))
    return dataclasses.replace(
      found, verdict=worst((found.verdict, gradient.verdict)), shapes=gradient.shapes,
      assumptions=(*found.assumptions, f'the step of {self._case.optimizer} on the gradients of mode gradient', STEPS),
      reason=found.reason or (gradient.reason and f'the gradients differ: {gradient.reason}'))

  def _initial(self) -> ModeProof:
    try:
      pair = self._programs.pair('init', 'eval', 'case')
    except WorkerError as error:
      return _not_proved('init', error)
    outputs = compare_initial(pair.linen, pair.nnx)
    try:
      own = self._programs.one(self._programs.nnx, 'init_keys', 'eval', 'case')
      outputs = with_shared_keys(outputs, pair.linen, own)
    except WorkerError as error:
      return _not_proved('init', error)
    return self._summed('init', pair, outputs, (DISTRIBUTION,))

  def _audited(self, mode: str) -> ModeProof:
    plan = self._plans[-1]
    try:
      linen = self._programs.one(self._programs.linen, 'forward', mode, plan)
      nnx = self._programs.one(self._programs.nnx, 'audit', mode, plan)
    except WorkerError as error:
      return _not_proved('keys', error)
    drawn = draws_of(linen, DRAW)
    verdict, reason = audit(drawn, draws_of(nnx, AUDITED))
    if self._programs.other_streams:
      verdict, reason = Verdict.DIFFERS, '; '.join(sorted(self._programs.other_streams))
    words = ('jax.random gives independent numbers for different keys',)
    return ModeProof('keys', verdict, PLANS[plan].words, drawn.count, assumptions=words, reason=reason)

  def _best(self, kind: str, mode: str) -> tuple[Pair, Climb]:
    """Returns the programs for the most general shapes that are proved, or else for those of the case."""
    for plan in list(self._plans):
      try:
        pair = self._programs.pair(kind, mode, plan)
      except WorkerError as problem:
        if problem.dead or plan == self._plans[-1]:
          raise
        self._plans.remove(plan)
        continue
      climbed = climb(pair.linen, pair.nnx, functools.partial(self._marks, pair))
      if plan == self._plans[-1] or not open_outputs(climbed):
        return pair, evaluated(self._programs, pair, climbed)
    raise WorkerError('there is no plan of shapes')

  def _marks(self, pair: Pair, table: Table) -> tuple[Marks, Marks]:
    return draw_marks(table, pair.linen, str), draw_marks(table, pair.nnx, self._programs.linen_path)

  def _judged(self, mode: str, pair: Pair, climbed: Climb, groups: Sequence[str]) -> ModeProof:
    names = [name for name in dict.fromkeys((*climbed.reading.linen, *climbed.reading.nnx))
             if name.split('/')[0] in groups]
    proof = self._summed(mode, pair, [_output(name, climbed) for name in names], self._assumptions(pair))
    if proof.verdict.is_exact or mode == SINGLE or pair.kind not in ('forward', 'gradient'):
      return proof
    return dataclasses.replace(proof, modules=self._locator.modules(pair, proof, self._plans[-1]))

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
    keys = [] if not drawn else [KEYS if pair.keys == RECORDED else ONE_KEY]
    return (TRACED, COMPILED, *keys)


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
  words, place = ' '.join(str(error).split()), _FRAME.search(error.trace.rstrip().rpartition('\n')[2])
  return ModeProof(mode, Verdict.NOT_PROVED, reason=f'{words} ({place[0].strip()})' if place else words)
