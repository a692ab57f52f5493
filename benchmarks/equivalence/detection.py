"""Are the injected changes caught, is the module named, are benign rewrites left alone?

`python -m benchmarks.equivalence.detection [NAME...]` runs the default check, by shapes alone; with `--training`
nothing but twenty training steps, whose differences are measured against Linen's own rounding.
"""
from __future__ import annotations

import collections
import dataclasses
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.equivalence.changes import CASES, CHANGES, PORTED, Change
from benchmarks.equivalence.sources import migrated_sources
from migrator.equivalence import verdicts
from migrator.equivalence.cases import Case, from_json
from migrator.equivalence.parts import CaseRun
from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.proof.verdict import Verdict
from migrator.equivalence.run import Checker
from migrator.equivalence.training_steps import STEPS
from migrator.equivalence.verdicts import CaseResult
from migrator.manifest import Manifest


@dataclasses.dataclass(frozen=True)
class Finding:
  """What the check says of one change.  named: a differing module or leaf is the right one."""

  change: Change
  caught: bool
  named: bool
  words: tuple[str, ...]


def findings(changes: Iterable[Change] = CHANGES, numbers: bool = False) -> Iterator[Finding]:
  """Yields what the default check finds for every change."""
  changes = list(changes)
  with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    manifest = migrated_sources(folder, sorted({change.program for change in changes}))
    merged = _written(folder, manifest, changes)
    with Checker(merged, folder / 'linen', folder / 'nnx', numbers=numbers) as checker:
      for k, change in enumerate(changes):
        yield _judged(change, checker.check(_case(change, f'change_{k}')))


def trained(changes: Iterable[Change] = CHANGES) -> Iterator[tuple[Change, str]]:
  """Yields what twenty training steps alone say of every change: 'differs', 'weights' (they do not fit), or why not.

  'rounding' are differences beyond the tolerance that rounding explains: false alarms without it.
  """
  changes = list(changes)
  with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    manifest = migrated_sources(folder, sorted({change.program for change in changes}))
    merged = _written(folder, manifest, changes)
    with WorkerProcess('linen', folder / 'linen') as linen, WorkerProcess('nnx', folder / 'nnx') as nnx:
      for k, change in enumerate(changes):
        run = CaseRun(_case(change, f'change_{k}'), merged, linen, nnx, 600, STEPS)
        yield change, _steps_say(run)


def _steps_say(run: CaseRun) -> str:
  try:
    if run.prepare().verdict == verdicts.DIFFERS:
      return 'weights'
    part = run.trained()
  except WorkerError as error:
    return f'fails: {error}'
  if part.verdict != verdicts.CLOSE:
    return part.verdict
  return 'rounding' if any('Linen alone' in note for note in part.notes) else part.verdict


def _written(folder: Path, manifest: Manifest, changes: list[Change]) -> Manifest:
  """Writes a copy of its program for every change, and returns the manifest of all copies."""
  classes = dict(manifest.classes)
  for k, change in enumerate(changes):
    name = f'change_{k}'
    linen = (folder / 'linen' / f'{change.program}.py').read_text()
    nnx = (folder / 'nnx' / f'{change.program}.py').read_text()
    if change.old not in nnx or change.linen[0] not in linen:
      raise ValueError(f'{change.name}: its text is not in {change.program}')
    (folder / 'linen' / f'{name}.py').write_text(linen.replace(*change.linen) if change.linen[0] else linen)
    edited = nnx.replace(change.old, change.new) if change.old else nnx
    # After the docstring and imports of __future__, if any.
    (folder / 'nnx' / f'{name}.py').write_text(edited + '\n\nimport jax\n')
    text = manifest.to_json().replace(change.program, name)
    classes.update({key: value for key, value in Manifest.from_json(text).classes.items() if key.startswith(f'{name}:')})
  return dataclasses.replace(manifest, classes=classes)


def _case(change: Change, module: str) -> Case:
  table = CASES[change.program]
  arguments = {name: text.format(module=module) for name, text in table.get('arguments', {}).items()}
  return from_json({**table, **change.case, 'name': change.name, 'model': f'{module}:{table["model"]}', 'arguments': arguments}, 'changes')


def _judged(change: Change, result: CaseResult) -> Finding:
  bad = [proof for proof in result.proofs if proof.verdict.level in ('differs', 'L2-precision')]
  words = [f'{module.linen}: {module.cause}' for proof in bad for module in proof.modules if module.verdict.level in ('differs', 'L2-precision')]
  places = [module.linen for proof in bad for module in proof.modules if module.verdict.level in ('differs', 'L2-precision')]
  places += [item.name for proof in bad if proof.mode in ('init', 'step') for item in proof.lower]
  # A model that cannot be built or called says why, and where in the source.
  broken = [proof for proof in result.proofs if result.exit_code and proof.verdict is Verdict.NOT_PROVED]
  places += [proof.reason for proof in (*bad, *broken) if proof.mode in ('weights', 'keys') or proof in broken]
  places += ['keys' for proof in bad if proof.mode == 'keys']
  named = bool(change.where) and any(re.search(change.where, place) for place in places)
  failed = [result.failure] if result.failure else [f'{proof.mode}: {proof.reason}' for proof in (*bad, *broken)]
  return Finding(change, bool(bad or result.exit_code), named, tuple(dict.fromkeys((*words, *failed))))


def lines(names: Sequence[str] = ()) -> Iterator[str]:
  """Yields one line per change, and the totals."""
  wanted = set(names)
  yield from _lines([change for change in CHANGES if not wanted or change.name in wanted], 'changes')
  yield from _lines([change for change in PORTED if not wanted or change.name in wanted], 'mistakes of public ports')


def _lines(chosen: Sequence[Change], what: str) -> Iterator[str]:
  if not chosen:
    return
  found = []
  for item in findings(chosen):
    found.append(item)
    verdict = 'caught' if item.caught else 'not caught'
    mark = '' if item.change.is_benign else ', named' if item.named else ', NOT NAMED'
    words = ' '.join('; '.join(item.words).split())[:160]
    yield f'{item.change.name:36s} {"benign" if item.change.is_benign else "change":7s} {verdict}{mark}  {words}'
  wrong = [item for item in found if not item.change.is_benign]
  benign = [item for item in found if item.change.is_benign]
  yield (f'{sum(item.caught for item in wrong)} of {len(wrong)} {what} caught, {sum(item.named for item in wrong)} '
         f'with the right module; {sum(item.caught for item in benign)} of {len(benign)} benign rewrites flagged')


def lines_of_training() -> Iterator[str]:
  """Yields one line per change for the training steps alone, and the totals."""
  found = []
  for change, words in trained():
    found.append((change, words))
    yield f'{change.name:36s} {"benign" if change.is_benign else "change":7s} {words}'
  for kind in (False, True):
    counts = collections.Counter(words for change, words in found if change.is_benign is kind)
    yield f'{"benign" if kind else "changes"}: ' + ', '.join(f'{count} {words}' for words, count in counts.most_common())


if __name__ == '__main__':
  for line in lines_of_training() if sys.argv[1:] == ['--training'] else lines(sys.argv[1:]):
    print(line, flush=True)
