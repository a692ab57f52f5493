"""`linen2nnx plan`: the inventory agrees with what `migrate` then does, and nothing is written."""
from __future__ import annotations

import json

import pytest

from tests.commands.tools import MLP, contents, linen2nnx, repository

WRAPPED = '''\
from flax import linen as nn


class Normed(nn.Module):
  """It mentions classes: zoo.mlp:Mlp."""

  @nn.compact
  def __call__(self, x):
    return nn.RNN(nn.GRUCell(3))(x)


class Two(nn.Module):

  def __post_init__(self):
    super().__post_init__()

  def __call__(self, x):
    return x


class Three(nn.Module):

  def __post_init__(self):
    super().__post_init__()

  def __call__(self, x):
    return x
'''


@pytest.fixture
def folder(tmp_path):
  return repository(tmp_path / 'r', zoo__odd=WRAPPED)


def test_the_table_tells_files_reasons_sizes_and_call_sites(folder):
  before = contents(folder)
  code, out = linen2nnx('plan', folder)
  assert code == 1 and contents(folder) == before
  table = {line.split()[0]: line.split() for line in out.splitlines() if line.strip().startswith(('zoo/', 'train.py '))}
  assert table['zoo/mlp.py'] == ['zoo/mlp.py', '1', '.', '.', '.', '.', '.', 'automatic']
  assert table['train.py'] == ['train.py', '.', '.', '.', '.', '1', '.', 'review']
  assert table['zoo/odd.py'][1:3] == ['.', '1'] and table['zoo/odd.py'][-3:] == ['.', 'by', 'hand']
  assert '  2  __post_init__ changes the fields  (Three, Two)' in out
  assert 'zoo.model:Model(in_features=...)  x.shape[-1]' in out and 'zoo.mlp:Mlp(in_features' not in out
  assert 'train.py:10  Model' in out
  assert 'Cell  (Normed)' in out


def test_json_agrees_with_the_report_of_the_migration(folder):
  code, out = linen2nnx('plan', folder, '--format', 'json')
  plan = json.loads(out)
  file = folder.parent / 'report.json'
  assert linen2nnx('migrate', folder, '--report', file)[0] == code == plan['exit_code']
  report = json.loads(file.read_text())
  classes = {row['name']: row for row in report['classes']}
  assert {row['name']: row['outcome'] for entry in plan['files'] for row in entry['classes']} == {
    name: row['outcome'] for name, row in classes.items()}
  assert plan['counts']['classes'] == report['counts']['classes']
  sites = [(finding['file'], finding['line']) for finding in report['findings'] if finding['code'] == 'bridged-call-site']
  assert [(entry['path'], row['line']) for entry in plan['files'] for row in entry['call_sites']] == sites
  assert plan['reasons'][0] == {'reason': '__post_init__ changes the fields', 'count': 2,
                                'classes': ['zoo.odd:Three', 'zoo.odd:Two']}
  assert plan['sizes'][0] == {'model': 'zoo.model:Model', 'argument': 'in_features', 'origin': 'x.shape[-1]'}
  assert str(folder) not in out and '"format": "linen2nnx-plan"' in out


def test_all_automatic_is_exit_0_and_classes_are_listed_when_asked(tmp_path):
  folder = repository(tmp_path / 'r')
  (folder / 'train.py').unlink()
  code, out = linen2nnx('plan', folder, '--classes')
  assert code == 0 and 'zoo.mlp:Mlp (zoo/mlp.py:5)' in out and 'by hand' not in out
  assert linen2nnx('plan', folder / 'zoo' / 'init.py') == (0, 'No Linen classes, and no code that uses them.\n')


def test_what_cannot_be_read_is_told(tmp_path):
  folder = repository(tmp_path / 'r', zoo__broken=MLP.replace('(nn.Module)', '(nn.Module'))
  code, out = linen2nnx('plan', folder)
  assert code == 2 and 'zoo/broken.py:5' in out and 'unreadable' in out and 'zoo/mlp.py' in out


def test_selection_holds(folder):
  out = linen2nnx('plan', folder, '--ignore', 'zoo.odd:*', '--format', 'json')[1]
  [odd] = [entry for entry in json.loads(out)['files'] if entry['path'] == 'zoo/odd.py']
  assert {row['outcome'] for row in odd['classes']} == {'left'}
  assert json.loads(out)['reasons'][0]['reason'] == 'it is not selected (--select, --ignore)'
