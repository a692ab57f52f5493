"""Every case of every program: the migrated code computes what the Linen code computed.

All programs are migrated as one tree, so that one pair of worker processes serves them all.  Of a program with train
flags the first case is computed; the others, which are that class or a part of it with other settings, are proved (and
`test_train_modes.py` proves all of them again in `--mode module`).  `--every-number` computes every case.
"""

from __future__ import annotations

import pytest

from tests.end_to_end.programs import all_programs, apply, lay_out, migrated


def _cases():
  for program in all_programs():
    for table in program.cases:
      # A model that stays Linen has no NNX class to compare; a part that stays Linen draws random keys of its own.
      if table['model'] not in program.expect and not (program.expect and table.get('rngs')):
        yield pytest.param(program, table, id=f'{program.name}-{table["name"]}'.replace(' ', '-'))


@pytest.fixture(scope='session')
def checker(tmp_path_factory):
  from migrator.equivalence import Checker

  folder = tmp_path_factory.mktemp('all')
  before = lay_out(all_programs(), folder / 'before')
  result = migrated(before)
  after = apply(result, before, folder / 'after')
  with Checker(result.manifest, before, after) as checker:
    yield checker


# A constant output (of evaluation), and a class without variables: some part has nothing to show.
SHOW_LITTLE = frozenset({'batch_stats_variable: Net', 'flag_paths: Net', 'odd_comments: Empty'})


def not_proved(result, case):
  """What a case asks for and no proof shows."""
  wanted = {mode for mode in ('eval', 'train') if getattr(case, mode) is not None}
  return wanted - {proof.mode for proof in result.proofs if proof.verdict.is_equal}


@pytest.mark.parametrize('program, table', list(_cases()))
def test_same_numbers(checker, program, table, request):
  from migrator.equivalence import Case

  case = Case(**{**table, 'name': f'{program.name}: {table["name"]}'})
  numbers = not program.has_flags or table is program.cases[0] or request.config.getoption('--every-number', default=False)
  result = checker.check(case, numbers)
  assert result.exit_code == 0, result
  if not numbers and not_proved(result, case):
    result = checker.check(case, numbers=True)
    assert result.exit_code == 0, result
  elif not numbers:
    return
  compared = {part.name for part in result.parts if part.passed}
  vacuous = {part.name for part in result.parts if part.verdict == 'not compared'} if case.name in SHOW_LITTLE else set()
  assert 'variables' in compared | vacuous
  assert 'eval' in compared | vacuous
  assert 'train' in compared | vacuous or case.train is None
  assert compared & {'eval', 'train', 'eval state', 'train state'}


def test_a_flag_that_nnx_takes_in_the_constructor_is_named(checker):
  from migrator.equivalence import Case

  table = next(table for program in all_programs() if program.name == 'flag_paths' for table in program.module_cases)
  result = checker.check(Case(**table), True)
  assert result.exit_code == 2
  assert any('put it into `arguments`' in part.reason for part in result.parts)
