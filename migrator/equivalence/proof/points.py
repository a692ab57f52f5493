"""The lower rung of the ladder: both programs at random points of a prime field, whole or cut at the borders of modules."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence

from migrator.equivalence.process import WorkerError
from migrator.equivalence.proof.boundaries_read import borders_of
from migrator.equivalence.proof.draws import draw_names
from migrator.equivalence.proof.ladder import Climb
from migrator.equivalence.proof.pairs import Pair, Programs
from migrator.equivalence.proof.program import Program
from migrator.equivalence.proof.verdict import Verdict
from migrator.equivalence.protocol import Message

SEEDS = (1, 2)
Hashes = dict[str, list[str]]


def open_outputs(climbed: Climb) -> set[str]:
  """Returns the outputs of both sides that have no verdict yet."""
  return (climbed.reading.linen.keys() & climbed.reading.nnx.keys()) - climbed.verdicts.keys()


def evaluated(programs: Programs, pair: Pair, climbed: Climb) -> Climb:
  """Returns the climb with verdicts for the outputs left open; the workers have traced the pair last."""
  names = open_outputs(climbed)
  if not names:
    return climbed
  try:
    equal = set(names)
    for seed in SEEDS:
      # One point where they differ is enough; only equality needs more.
      plain = _fingerprints(programs, pair, [seed], False) if equal else ({}, {})
      equal = {name for name in equal if plain[0].get(name) == plain[1].get(name)}
    rounded = _fingerprints(programs, pair, SEEDS[:1], True) if equal else ({}, {})
  except WorkerError as error:
    if error.dead:
      raise
    return dataclasses.replace(climbed, why=' '.join(str(error).split()))
  found = {name: Verdict.DIFFERS if name not in equal else _verdict(name, *rounded) for name in names}
  return dataclasses.replace(climbed, verdicts={**climbed.verdicts, **found})


def judged_alone(programs: Programs, pair: Pair, keys: Collection[str]) -> dict[str, Verdict]:
  """Returns the verdict of differences at cut borders, where it is better than differs."""
  if not keys:
    return {}
  try:
    plain = _fingerprints(programs, pair, SEEDS[:1], False, True)
    same = {key for key in keys if key in plain[0] and plain[0][key] == plain[1].get(key)}
    rounded = _fingerprints(programs, pair, SEEDS[:1], True, True) if same else ({}, {})
  except WorkerError as error:
    if error.dead:
      raise
    return {}
  return {key: _verdict(key, *rounded) for key in same}


def _verdict(name: str, linen: Hashes, nnx: Hashes) -> Verdict:
  """What is equal without rounding may round to a lower precision at another place."""
  return Verdict.SAME_FUNCTION if linen.get(name) == nnx.get(name) else Verdict.OTHER_PRECISION


def _fingerprints(programs: Programs, pair: Pair, seeds: Sequence[int], rounds: bool,
                  borders: bool = False) -> tuple[Hashes, Hashes]:
  """Returns the hashes of outputs, and of what is at the borders of modules if these are cut."""
  sides: tuple[tuple[Program, Callable[[str], str]], ...] = ((pair.linen, str), (pair.nnx, programs.linen_path))
  requests = []
  of_borders = [borders_of(program, path) if borders else {} for program, path in sides]
  shared = set(of_borders[0].values()) & set(of_borders[1].values())
  for (program, path), found in zip(sides, of_borders):
    names = {mark: border.text() for mark, border in found.items() if border in shared and border.path}
    requests.append(Message({'do': 'fingerprint', 'seeds': list(seeds), 'rounds': rounds,
                             'draws': draw_names(program, path), 'borders': names}))
  linen, nnx = programs.both(*requests)
  return linen.body['outputs'], nnx.body['outputs']
