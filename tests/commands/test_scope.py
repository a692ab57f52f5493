"""Runs over a part of a repository: the given files are migrated, the rest goes on with them."""
from __future__ import annotations

import json
import subprocess

import pytest

from tests.commands.tools import MODEL, TRAIN, contents, linen2nnx, ran, repository, written

CLASSES = ('Mlp', 'Block', 'Model')


@pytest.fixture(scope='module')
def losses(tmp_path_factory):
  return ran(repository(tmp_path_factory.mktemp('before')), 'train.py')


def run(folder, *words):
  """Migrates; returns the changed files, the outcomes and the output."""
  before = contents(folder)
  code, out = linen2nnx('migrate', *words, '--write', '--report', folder.parent / 'report.json')
  assert code in (0, 1), out
  report = json.loads((folder.parent / 'report.json').read_text())
  after = contents(folder)
  changed = {name for name in after if name.endswith('.py') and before.get(name) != after[name]}
  return changed, {row['name'].partition(':')[2]: row['outcome'] for row in report['classes']}, out


@pytest.mark.parametrize('files, changed, outcomes', [
  (['zoo/mlp.py'], {'zoo/mlp.py', 'zoo/block.py', 'zoo/nnx_helpers.py'}, {'Mlp': 'native'}),
  (['zoo/block.py'], {'zoo/block.py', 'zoo/model.py', 'zoo/nnx_helpers.py'}, {'Mlp': 'bridged', 'Block': 'native'}),
  (['zoo/model.py'], {'zoo/model.py', 'train.py', 'zoo/nnx_helpers.py'}, {'Block': 'bridged', 'Model': 'native'}),
  (['zoo/mlp.py', 'zoo/block.py'], {'zoo/mlp.py', 'zoo/block.py', 'zoo/model.py', 'zoo/nnx_helpers.py'},
   {'Mlp': 'native', 'Block': 'native'}),
  (['train.py'], set(), {}),
])
def test_a_part_is_migrated_and_the_rest_runs(tmp_path, losses, files, changed, outcomes):
  folder = repository(tmp_path / 'r')
  assert run(folder, *(folder / file for file in files))[:2] == (changed, outcomes)
  assert ran(folder, 'train.py') == losses
  assert run(folder, *(folder / file for file in files))[0] == set()


@pytest.mark.parametrize('words, outcomes', [
  (['--select', 'Block'], {'Mlp': 'bridged', 'Block': 'native', 'Model': 'left'}),
  (['--ignore', 'Block'], {'Mlp': 'native', 'Block': 'bridged', 'Model': 'native'}),
  (['--ignore', 'zoo.block:*'], {'Mlp': 'native', 'Block': 'bridged', 'Model': 'native'}),
  (['--select', 'M*', '--ignore', 'Mlp,Nothing'], {'Mlp': 'left', 'Block': 'bridged', 'Model': 'native'}),
  (['--select', 'Mlp', '--select', 'Model'], {'Mlp': 'native', 'Block': 'bridged', 'Model': 'native'}),
])
def test_chosen_classes_are_migrated_and_the_rest_runs(tmp_path, losses, words, outcomes):
  folder = repository(tmp_path / 'r')
  assert run(folder, folder, *words)[1] == outcomes
  assert ran(folder, 'train.py') == losses


def test_codes_choose_what_is_shown_and_counted(tmp_path):
  folder = repository(tmp_path / 'r')
  shown = {words: linen2nnx('migrate', folder, *words) for words in (
    (), ('--ignore', 'bridged-call-site'), ('--ignore', 'bridged-call-site,stays-linen'), ('--select', 'assumption'))}
  assert [code for code, _ in shown.values()] == [1, 1, 0, 0]
  assert 'bridged-call-site' in shown[()][1]
  assert all('bridged-call-site' not in out for words, (_, out) in shown.items() if words)
  assert all('class Mlp(nnx.Module)' in out for _, out in shown.values())


@pytest.mark.parametrize('word', ['stays-linem', 'zoo/vit.py', 'Vit()'])
def test_what_is_neither_code_nor_class_is_refused(tmp_path, word):
  from migrator.failure import Failure

  with pytest.raises(Failure, match='stays-linen'):
    linen2nnx('migrate', repository(tmp_path), '--select', word)


def test_callers_outside_of_the_source_folder_are_changed(tmp_path, losses):
  texts = repository(tmp_path / 'flat')
  folder = written(tmp_path / 'r', {'pyproject.toml': '', 'scripts/train.py': TRAIN})
  (texts / 'zoo').rename(folder / 'src').rename(folder / 'zoo')
  (folder / 'src').mkdir()
  (folder / 'zoo').rename(folder / 'src' / 'zoo')
  changed, outcomes, out = run(folder, folder / 'src')
  assert set(outcomes.values()) == {'native'} and 'scripts/train.py' in changed
  assert '\nscripts/train.py\n' in out
  assert 'from zoo.nnx_helpers import as_linen' in (folder / 'scripts/train.py').read_text()
  environment = 'import sys; sys.path[:0] = ["src"]; exec(open("scripts/train.py").read())'
  assert ran(folder, '-c', environment) == losses
  assert list(json.loads((folder / 'linen2nnx-manifest.json').read_text())['classes'])[0] == 'zoo.block:Block'


def test_a_copy_holds_the_callers_in_it(tmp_path):
  folder, out = repository(tmp_path / 'r'), tmp_path / 'out'
  code, text = linen2nnx('migrate', folder / 'zoo', '--out', out)
  assert code == 1, text
  assert 'as_linen' in (out / 'train.py').read_text() and 'as_linen' not in (folder / 'train.py').read_text()


def test_a_caller_with_uncommitted_changes_is_not_overwritten(tmp_path):
  from migrator.failure import Failure

  folder = repository(tmp_path / 'r')
  for words in (['init', '-q'], ['add', '.'], ['-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'x']):
    subprocess.run(['git', '-C', folder, *words], check=True)
  (folder / 'train.py').write_text(f'{TRAIN}\n# more\n')
  before = contents(folder)
  with pytest.raises(Failure, match=r'train\.py: not committed in git'):
    linen2nnx('migrate', folder / 'zoo' / 'model.py', '--write')
  assert contents(folder) == before
  assert linen2nnx('migrate', folder / 'zoo' / 'mlp.py', '--write')[0] == 1


def test_files_outside_that_cannot_be_read_stop_nothing(tmp_path):
  folder = repository(tmp_path / 'r', broken='from flax import linen as nn\nclass A(nn.Module:\n')
  assert linen2nnx('migrate', folder / 'zoo')[0] == 1
  assert linen2nnx('migrate', folder)[0] == 2


def test_a_subclass_outside_keeps_its_base(tmp_path):
  folder = repository(tmp_path / 'r', more='from zoo.model import Model\n\n\nclass Deep(Model):\n  depth: int = 3\n')
  changed, outcomes, _ = run(folder, folder / 'zoo')
  assert outcomes == {'Mlp': 'native', 'Block': 'native', 'Model': 'left'} and 'more.py' not in changed
  assert MODEL == (folder / 'zoo/model.py').read_text() or 'as_linen(Block' in (folder / 'zoo/model.py').read_text()


def test_settings_select_and_ignore_and_the_command_line_wins(tmp_path):
  folder = repository(tmp_path / 'r')
  (folder / 'pyproject.toml').write_text('[tool.linen2nnx]\nignore = ["Block", "bridged-call-site", "stays-linen"]\n')
  code, out = linen2nnx('plan', folder, '--classes')
  assert code == 0 and 'it is not selected' in out and '+class Block' not in linen2nnx('migrate', folder)[1]
  assert '+class Block(nnx.Module)' in linen2nnx('migrate', folder, '--ignore', 'Mlp')[1]


def test_an_explanation_is_that_of_the_whole_project(tmp_path):
  folder = repository(tmp_path / 'r')
  code, out = linen2nnx('migrate', f'{folder / "zoo/block.py"}:Block', '--explain')
  assert code == 0 and 'outcome: native' in out and 'Mlp_0 -> mlp' in out and 'in_features <- x.shape[-1]' in out
