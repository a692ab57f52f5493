"""`# linen2nnx: skip`: what a comment marks is not touched, and runs on beside what is NNX."""
from __future__ import annotations

import ast
import json

import pytest

from migrator.source.skips import read_skips
from tests.commands.tools import BLOCK, MLP, TRAIN, contents, linen2nnx, ran, repository

SKIP = '# linen2nnx: skip'


@pytest.fixture(scope='module')
def losses(tmp_path_factory):
  """What the training script prints before the migration."""
  return ran(repository(tmp_path_factory.mktemp('before')), 'train.py')


def migrated(folder, *words):
  """Migrates in place; returns what changed, and the classes of the report."""
  before = contents(folder)
  code, out = linen2nnx('migrate', folder, '--write', '--report', folder / 'report.json', *words)
  assert code in (0, 1), out
  after = contents(folder)
  report = json.loads(after['report.json'])
  changed = {name for name in after if name.endswith('.py') and before.get(name) != after[name]}
  return changed, {row['name'].partition(':')[2]: row for row in report['classes']}, report


MARKED = {
  'above the class': MLP.replace('class Mlp', f'{SKIP}\nclass Mlp'),
  'with a reason': MLP.replace('class Mlp', f'# It is rewritten by hand.\n{SKIP}, see the issue\nclass Mlp'),
  'behind the class': MLP.replace('Module):', f'Module):  {SKIP}'),
  'in the class': MLP.replace('width = x.shape[-1]', f'width = x.shape[-1]  {SKIP}'),
  'top of the file': f'{SKIP}\n{MLP}',
  'skip-file': f'{MLP}\n{SKIP}-file\n',
}


@pytest.mark.parametrize('where', MARKED)
def test_a_marked_class_is_untouched_and_bridged(tmp_path, losses, where):
  folder = repository(tmp_path, zoo__mlp=MARKED[where])
  changed, classes, report = migrated(folder)
  assert changed == {'zoo/block.py', 'zoo/model.py', 'zoo/nnx_helpers.py', 'train.py'}
  assert {name: row['outcome'] for name, row in classes.items()} == {
    'Mlp': 'bridged', 'Block': 'native', 'Model': 'native'}
  assert 'linen2nnx: skip' in classes['Mlp']['reasons'][0]
  told = [finding for finding in report['findings'] if finding['file'] == 'zoo/mlp.py' and finding['code'] == 'stays-linen']
  assert [finding['level'] for finding in told] == ['note']
  assert ran(folder, 'train.py') == losses
  before = contents(folder)
  linen2nnx('migrate', folder, '--write')
  assert {**contents(folder), 'report.json': b''} == {**before, 'report.json': b''}


def test_what_a_marked_class_uses_stays_linen_too(tmp_path, losses):
  folder = repository(tmp_path, zoo__block=BLOCK.replace('class Block', f'{SKIP}\nclass Block'))
  changed, classes, report = migrated(folder)
  assert changed == {'zoo/model.py', 'zoo/nnx_helpers.py', 'train.py'}
  assert [classes[name]['outcome'] for name in ('Mlp', 'Block', 'Model')] == ['left', 'bridged', 'native']
  assert 'zoo/block.py:11' in classes['Mlp']['reasons'][0]
  assert ran(folder, 'train.py') == losses


def test_a_marked_script_keeps_what_it_uses_linen(tmp_path, losses):
  folder = repository(tmp_path, train=f'{SKIP}\n{TRAIN}')
  changed, classes, report = migrated(folder)
  assert classes['Model']['outcome'] == 'left' and classes['Block']['outcome'] == 'native'
  assert changed == {'zoo/mlp.py', 'zoo/block.py', 'zoo/model.py', 'zoo/nnx_helpers.py'}
  assert [finding['line'] for finding in report['findings'] if finding['code'] == 'skipped'] == [1]
  assert ran(folder, 'train.py') == losses


@pytest.mark.parametrize('train', [
  TRAIN.replace('model = Model()', f'model = Model()  {SKIP}'),
  TRAIN.replace('model = Model()', f'{SKIP}\nmodel = (\n  Model())'),
  TRAIN.replace('model = Model()', f'def make():  {SKIP}\n  print(end="")\n  return Model()\n\n\nmodel = make()'),
])
def test_a_marked_line_keeps_what_it_uses_linen(tmp_path, losses, train):
  folder = repository(tmp_path, train=train)
  changed, classes, _ = migrated(folder)
  assert 'train.py' not in changed and classes['Model']['outcome'] == 'left'
  assert 'skip' in classes['Model']['reasons'][0] and 'train.py:' in classes['Model']['reasons'][0]
  assert ran(folder, 'train.py') == losses


def test_a_subclass_that_is_marked_keeps_its_base(tmp_path):
  folder = repository(tmp_path, zoo__more=f'from zoo.mlp import Mlp\n\n\n{SKIP}\nclass Wide(Mlp):\n  hidden: int = 9\n')
  changed, classes, _ = migrated(folder)
  assert 'zoo/mlp.py' not in changed and classes['Mlp']['reasons'] == ['its subclass zoo.more:Wide stays Linen']


def test_linen_outside_of_classes_on_a_marked_line_is_left(tmp_path):
  act = f'def act(x):\n  return nn.relu(x)  {SKIP}\n\n\ndef other(x):\n  return nn.gelu(x)\n'
  folder = repository(tmp_path, zoo__mlp=f'{MLP}\n\n{act}')
  migrated(folder)
  text = (folder / 'zoo/mlp.py').read_text()
  assert f'return nn.relu(x)  {SKIP}' in text and 'return nnx.gelu(x)' in text and 'linen as nn' in text
  ran(folder, '-c', 'from zoo import mlp; import jax.numpy as jnp; mlp.act(jnp.ones(2)), mlp.other(jnp.ones(2))')


@pytest.mark.parametrize('text, file, lines', [
  ('a = 1\n', None, {}),
  ('text = "# linen2nnx: skip"\n', None, {}),
  ('a = 1  # linen2nnx: skipped\n', None, {}),
  ('a = 1  # noqa  # linen2nnx:skip because\n', None, {1: 1}),
  ('a = 1\n\n# linen2nnx: skip\n# more\n\nb = 2\n', None, {6: 3}),
  ('"""Words."""\n# linen2nnx: skip\nb = 2\n', None, {3: 2}),
  ('\n# linen2nnx: skip\n"""Words."""\nb = 2\n', 2, {}),
  ('if a:\n  b = 1\n  # linen2nnx: skip-file\n', 3, {}),
])
def test_where_comments_count(text, file, lines):
  skips = read_skips(text, ast.parse(text))
  assert (skips.file, skips.lines) == (file, lines)


