"""Runs the cases on broken copies of the NNX source, and counts how many are caught."""
from __future__ import annotations

import dataclasses
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from migrator.equivalence.cases import Case
from migrator.equivalence.mutation.edits import Edit, edits_of
from migrator.equivalence.run import Checker
from migrator.equivalence.verdicts import CaseResult
from migrator.failure import Failure
from migrator.manifest import Manifest

OUTCOME = 'native'


@dataclasses.dataclass(frozen=True)
class Survivor:
  """A mistake that no case sees."""

  file: str
  line: int
  what: str


@dataclasses.dataclass(frozen=True)
class Tried:
  """tried: number of mistakes.  broken: of those caught, how many made the code fail.  survivors: not caught."""

  tried: int
  broken: int
  survivors: tuple[Survivor, ...]

  @property
  def caught(self) -> int:
    return self.tried - len(self.survivors)


def mutate_checks(cases: Sequence[Case], manifest: Manifest, linen_root: Path, nnx_root: Path, count: int,
                  told: Callable[[str, int, Edit, bool], None] = lambda *words: None) -> Tried:
  """Tries mistakes in the NNX source, each alone, and sees whether the proofs of the cases differ.

  Args:
    cases: must be equal as they are.
    count: mistakes to try, chosen evenly over all that fit; the same every time.
    told: gets (file, line, mistake, whether it was caught) after each.

  Raises:
    Failure: a case is not equal to begin with, or there is nothing to break.
  """
  with tempfile.TemporaryDirectory(prefix='linen2nnx-mutants-') as place:
    copy = Path(place) / 'nnx'
    shutil.copytree(nnx_root, copy, ignore=shutil.ignore_patterns('.*', '__pycache__', 'node_modules'))
    with Checker(manifest, linen_root, copy, numbers=False) as checker:
      expected = {case.name: _claim(checker.check(case)) for case in cases}
      wrong = [case.name for case in cases if not expected[case.name][0]]
      if wrong:
        raise Failure(f'case {wrong[0]} is not proved equal as it is; `check` it first')
      return _tried(checker, cases, expected, _chosen(copy, manifest, count), copy, told)


def _tried(checker: Checker, cases: Sequence[Case], expected: Mapping[str, object], chosen: list[tuple[str, Edit]],
           copy: Path, told: Callable[[str, int, Edit, bool], None]) -> Tried:
  survivors, broken = [], 0
  for file, edit in chosen:
    target = copy / file
    before = target.read_text(encoding='utf-8')
    target.write_text(edit.applied(before), encoding='utf-8')
    try:
      checker.forget('nnx')
      caught, failed = _caught(checker, cases, expected, file)
    finally:
      target.write_text(before, encoding='utf-8')
    broken += failed
    if not caught:
      survivors.append(Survivor(file, edit.line, edit.what))
    told(file, edit.line, edit, caught)
  return Tried(len(chosen), broken, tuple(survivors))


def _caught(checker: Checker, cases: Sequence[Case], expected: Mapping[str, object], file: str) -> tuple[bool, bool]:
  module = file.removesuffix('.py').replace('/', '.')
  for case in sorted(cases, key=lambda case: case.model.partition(':')[0] != module):
    result = checker.check(case)
    if _claim(result) != expected[case.name]:
      return True, bool(result.failure)
  return False, False


def _claim(result: CaseResult) -> tuple[bool, tuple[tuple[str, str], ...]]:
  """What a mistake must change: whether the case is equal, and the verdict of every mode."""
  return result.exit_code == 0, tuple((proof.mode, str(proof.verdict)) for proof in result.proofs)


def _chosen(root: Path, manifest: Manifest, count: int) -> list[tuple[str, Edit]]:
  files: dict[str, set[str]] = {}
  for entry in manifest.classes.values():
    if entry.outcome == OUTCOME:
      files.setdefault(entry.file, set()).add(entry.name.rpartition(':')[2].rpartition('.')[2])
  found = [(file, edit) for file, classes in sorted(files.items()) if (root / file).is_file()
           for edit in edits_of((root / file).read_text(encoding='utf-8'), frozenset(classes))]
  if not found:
    raise Failure('there is nothing to break: the migrated classes hold no layer, activation or flag that is known')
  chosen = random.Random(0).sample(found, min(count, len(found)))
  return sorted(chosen, key=lambda item: (item[0], item[1].line, item[1].what))
