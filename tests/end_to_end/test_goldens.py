"""Keeping golden results: what is written is what is read back, byte for byte, and old files go."""
from __future__ import annotations

import dataclasses

import pytest

from tests.end_to_end.programs import all_programs


@pytest.fixture
def program(tmp_path):
  return dataclasses.replace(all_programs()[0], name='net', folder=tmp_path)


@pytest.mark.parametrize('result', [
  {'net.py': b'x = 1\r\n'},
  {'net.py': b'x = 1\n', 'nnx_helpers.py': b'y = 2\n'},
  {'net/__init__.py': b'', 'net/deep/part.py': b'z = 3\n', 'other/helpers.py': b''},
])
def test_what_is_kept_is_read_back(program, result):
  assert program.golden() == {}
  program.update_golden(result)
  assert program.golden() == result


def test_a_new_result_replaces_all_of_the_old_one(program):
  program.update_golden({'net/a.py': b'a\n', 'helpers.py': b'h\n'})
  program.update_golden({'net.py': b'b\n'})
  assert program.golden() == {'net.py': b'b\n'}


def test_every_program_lies_in_its_folder_with_linen_and_cases():
  for program in all_programs():
    assert program.cases, program.name
    assert program.sources(), program.name
    assert any(b'linen' in data for data in program.sources().values()), program.name
