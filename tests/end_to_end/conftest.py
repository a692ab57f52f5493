"""Fixtures of the end-to-end tests: every program migrated once per process."""
from __future__ import annotations

import pytest

from tests.end_to_end.programs import Program, lay_out, migrated


def pytest_addoption(parser):
  parser.addoption('--update-golden', action='store_true',
                   help='write what the migration makes of every program as its golden result')
  parser.addoption('--every-number', action='store_true',
                   help='compute every case of every program in both modes, also where a proof shows that it is equal')


@pytest.fixture(scope='session')
def migration(tmp_path_factory):
  """A function of a program: (source root, MigrationResult), computed once."""
  known = {}

  def of(program: Program):
    if program.name not in known:
      root = lay_out([program], tmp_path_factory.mktemp(program.name))
      known[program.name] = root, migrated(root)
    return known[program.name]

  return of
