"""The programs of one case: asking both workers for them, with keys that are aligned where they can be."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.proof.draws import DRAW, marks_of
from migrator.equivalence.proof.program import Program, from_json
from migrator.equivalence.protocol import Message

RECORDED, CONSTANT = 'recorded', 'constant'


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


def trace_request(kind: str, mode: str, plan: str, keys: str = RECORDED, calls: bool = False) -> Message:
  """Returns the question for a program; `calls` marks the borders of modules."""
  return Message({'do': 'trace', 'kind': kind, 'mode': mode, 'plan': plan, 'keys': keys, 'calls': calls})


class Programs:
  """Both workers of a case.

  linen_paths: Linen path by NNX path of every module known on both sides; empty until they are described.
  other_streams: in words, the modules that were seen to draw from another stream than their counterpart.
  hashes: what was asked of which side, and the hash of the program it traced; as `recheck` reads it.
  """

  def __init__(self, linen: WorkerProcess, nnx: WorkerProcess, timeout: float):
    self.linen, self.nnx, self._timeout = linen, nnx, timeout
    self.linen_paths: Mapping[str, str] = {}
    self.other_streams: set[str] = set()
    self.hashes: dict[tuple[tuple[str, str], ...], str] = {}

  def pair(self, kind: str, mode: str, plan: str, keys: str = RECORDED, calls: bool = False) -> Pair:
    """Returns the programs of a kind and mode; with one constant key where the keys drawn are not the same."""
    request = trace_request(kind, mode, plan, keys, calls)
    linen, nnx = self.both(request, request)
    pair = Pair(kind, mode, plan, keys, _program(linen), _program(nnx), linen.body['hash'], nnx.body['hash'])
    if keys == RECORDED and self._draws(pair.linen, False) != self._draws(pair.nnx, True):
      self.other_streams |= self._in_other_streams(pair)
      return self.pair(kind, mode, plan, CONSTANT, calls)
    return pair

  def one(self, worker: WorkerProcess, kind: str, mode: str, plan: str) -> Program:
    """Returns the program of one side alone."""
    return _program(self.ask(worker, trace_request(kind, mode, plan)))

  def linen_path(self, place: str) -> str:
    """Returns the Linen path of an NNX module."""
    return self.linen_paths.get(place, f'NNX {place}')

  def both(self, linen: Message, nnx: Message) -> tuple[Message, Message]:
    """Lets both sides work at the same time; both answers are fetched before either's failure is raised."""
    self.linen.post(linen)
    self.nnx.post(nnx)
    answers = [(worker, worker.outcome(self._timeout)) for worker in (self.linen, self.nnx)]
    for worker, answer in answers:
      if isinstance(answer, WorkerError):
        raise WorkerError(f'{worker.side}: {answer}', answer.trace, answer.dead)
    first, second = (answer for _, answer in answers if isinstance(answer, Message))
    self._note('linen', linen, first)
    self._note('nnx', nnx, second)
    return first, second

  def ask(self, worker: WorkerProcess, message: Message) -> Message:
    """Returns the answer of one side; raises WorkerError."""
    try:
      answer = worker.ask(message, self._timeout)
    except WorkerError as error:
      raise WorkerError(f'{worker.side}: {error}', error.trace, error.dead) from None
    self._note(worker.side, message, answer)
    return answer

  def _note(self, side: str, asked: Message, answer: Message) -> None:
    if 'hash' in answer.body and not asked.body['calls']:
      words = tuple((name, asked.body[name]) for name in ('kind', 'mode', 'plan', 'keys'))
      self.hashes[('side', side), *words] = answer.body['hash']

  def _in_other_streams(self, pair: Pair) -> set[str]:
    """Returns, in words, the modules that draw from another stream than their counterpart."""
    theirs, own = self._draws(pair.linen, False), self._draws(pair.nnx, True)
    places = {place for place, _ in theirs} & {place for place, _ in own}
    return {f'{place or "the model"} draws from {_streams(theirs, place)} in Linen, from {_streams(own, place)} in NNX'
            for place in places if _streams(theirs, place) != _streams(own, place)}

  def _draws(self, program: Program, is_nnx: bool) -> set[tuple[str, str]]:
    places = {tuple(mark.split('|')[1:3]) for mark in marks_of(program, DRAW)}
    return {(self.linen_path(place) if is_nnx else place, stream) for place, stream in places}


def _streams(draws: set[tuple[str, str]], place: str) -> str:
  return ' and '.join(sorted(stream for other, stream in draws if other == place))


def _program(message: Message) -> Program:
  return from_json(message.body['program'], message.group('constants'))
