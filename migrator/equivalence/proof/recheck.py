"""Checking a pair again by its hashes alone: the programs are traced, nothing is compared or compiled."""
from __future__ import annotations

from migrator.equivalence.process import WorkerError
from migrator.equivalence.proof.case_proof import CaseProof
from migrator.equivalence.proof.pairs import trace_request

# What a worker was asked ('side', 'kind', 'mode', 'plan', 'keys') and the hash of the program it traced.
Hashes = tuple[tuple[tuple[tuple[str, str], ...], str], ...]
SIDES = {'linen': 'Linen', 'nnx': 'NNX'}


class Recheck(CaseProof):
  """Asks both workers for the programs of a certificate again."""

  def changes(self, hashes: Hashes) -> list[str]:
    """Returns what changed, in words; empty when every program is what it was.

    Raises:
      WorkerError: a worker ended.
    """
    described = self._described()
    if described.reason:
      return [described.reason]
    changed = dict.fromkeys(words for key, known in hashes if (words := self._change(dict(key), known)))
    return list(changed)

  def _change(self, asked: dict[str, str], known: str) -> str:
    side = asked['side']
    request = trace_request(asked['kind'], asked['mode'], asked['plan'], asked['keys'])
    what = f'the {SIDES[side]} program of {asked["mode"]} ({asked["kind"]})'
    try:
      found = self._programs.ask(self._programs.linen if side == 'linen' else self._programs.nnx, request).body['hash']
    except WorkerError as error:
      if error.dead:
        raise
      return f'{what} can no longer be traced: {error}'
    return '' if found == known else f'{what} changed: {known[:12]} is {found[:12]} now'
