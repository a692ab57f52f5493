"""Every case of every program: the migrated code computes what the Linen code computed.

All programs are migrated as one tree, so that one pair of worker processes serves them all.
"""
from __future__ import annotations

import pytest

from tests.end_to_end.programs import all_programs, apply, lay_out, migrated


def _cases():
  for program in all_programs():
    for table in program.cases:
      native = program.expect.get(table['model'], 'native') == 'native'
      if native and 'bridged' not in program.expect.values() and 'any' not in program.expect.values():
        yield pytest.param(program, table, id=f'{program.name}-{table["name"]}'.replace(' ', '-'))


@pytest.fixture(scope='session')
def checker(tmp_path_factory):
  from migrator.equivalence import Checker

  folder = tmp_path_factory.mktemp('all')
  before = lay_out(all_programs(), folder / 'before')
  result = migrated(before)
  after = apply(result, before, folder / 'after')
  with Checker(before, after, result.manifest) as checker:
    yield checker


@pytest.mark.parametrize('program, table', list(_cases()))
def test_same_numbers(checker, program, table):
  from migrator.equivalence import Case

  case = Case(**{**table, 'name': f'{program.name}: {table["name"]}'})
  result = checker.check(case)
  assert result.passed, result
