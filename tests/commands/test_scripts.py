"""Scripts, tests and configurations of a repository run on after their models became NNX, with equal numbers.

The models of `fixtures/bridge/scripts` have initial weights that depend on shapes alone, so that nothing has to be
renamed to compare: what a script prints before is what it prints afterwards.
"""
from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.commands.tools import linen2nnx, ran

FOLDER = Path(__file__).resolve().parents[2] / 'fixtures' / 'bridge' / 'scripts'


@pytest.fixture(scope='module')
def linen():
  """What the scripts print before the migration."""
  return {script: json.loads(ran(FOLDER, script)) for script in ('train.py', 'use.py', 'more.py')}


@pytest.fixture(scope='module', params=['argument', 'module'])
def repository(request, tmp_path_factory):
  """The migrated repository and the report, with flags as arguments and as modes of the modules."""
  folder = tmp_path_factory.mktemp('scripts') / 'repository'
  shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns('__pycache__'))
  (folder / 'pyproject.toml').write_text('')
  code, out = linen2nnx('migrate', folder, '--write', '--report', folder / 'report.json', '--mode', request.param)
  assert code == 1, out
  return folder, json.loads((folder / 'report.json').read_text())


def flat(value):
  """The numbers in nested lists."""
  if isinstance(value, dict):
    value = [value[key] for key in sorted(value)]
  if isinstance(value, (list, tuple)):
    return [number for item in value for number in flat(item)]
  return [value]


def test_the_losses_of_the_training_script_are_equal(repository, linen):
  before, after = linen['train.py'], json.loads(ran(repository[0], 'train.py'))
  np.testing.assert_allclose(after, before, rtol=1e-6)
  assert before[4] < before[0]


@pytest.mark.parametrize('script, ways', [('use.py', 16), ('more.py', 13)])
def test_every_way_to_use_a_model_gives_equal_numbers(repository, linen, script, ways):
  before, after = linen[script], json.loads(ran(repository[0], script))
  assert set(before) == set(after) and len(before) == ways
  assert not [text for text in flat(before) if isinstance(text, str)]
  for name, numbers in before.items():
    np.testing.assert_allclose(flat(after[name]), flat(numbers), rtol=1e-6, err_msg=name)


def test_its_own_tests_pass(repository):
  assert '3 passed' in ran(repository[0], '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests')


def test_every_place_has_its_marker_and_its_line_in_the_report(repository):
  folder, report = repository
  assert {row['outcome'] for row in report['classes']} == {'native'}
  told = {(row['file'], row['line']) for row in report['findings'] if row['code'] == 'bridged-call-site'}
  for file in ('train.py', 'use.py', 'configs/models.py', 'tests/test_net.py'):
    text = (folder / file).read_text()
    before = (FOLDER / file).read_text().splitlines()
    lines = {line for name, line in told if name == file}
    assert lines and all(re.search(r'Net|Autoencoder|Policy|Classifier', before[line - 1]) for line in lines)
    assert text.count('# TODO(linen2nnx): ') <= len(lines) * 2 and 'as_linen(' in text
    # Nothing but markers, calls and the import is new.
    added = [line for line in text.splitlines() if line not in before]
    assert all(re.search('as_linen|with_flags', line) or line.lstrip().startswith('# TODO(linen2nnx): ') for line in added), added


def test_a_second_run_is_silent(repository):
  folder = repository[0]
  code, out = linen2nnx('migrate', folder, '--write')
  assert 'There was nothing to write.' in out


NAMES = '''\
import re

def kernel(variables, i):
  """The kernel of Dense_0."""
  return variables['params']['Dense_0']['kernel'], variables['params'][f'Dense_{i}'], variables['params']['bias']


RULES = [(r'Dense_0/kernel', None), ('Dense_00', None), (r'encoder/kernel', 1)]
'''


@pytest.mark.parametrize('words, lines', [([], [5, 5, 8]), (['--names', 'linen'], [])])
def test_texts_that_name_variables_as_linen_did_are_told(tmp_path, words, lines):
  folder = tmp_path / 'repository'
  shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns('__pycache__'))
  (folder / 'pyproject.toml').write_text('')
  (folder / 'names.py').write_text(NAMES)
  linen2nnx('migrate', folder, '--report', tmp_path / 'report.json', *words)
  told = [row for row in json.loads((tmp_path / 'report.json').read_text())['findings'] if row['code'] == 'linen-name']
  assert [(row['file'], row['line']) for row in told] == [('names.py', line) for line in lines]
  assert all('linear1' in row['message'] for row in told)
