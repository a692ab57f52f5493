"""The command line: exit codes, one line per failure, nothing written but what was asked for."""
from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from flax import serialization

from migrator import __version__
from migrator.cli import COMMANDS, describe, main
from migrator.config import read_settings
from migrator.failure import Failure
from migrator.manifest import ClassMap, Manifest, SizeArgument, Submodule
from migrator.roots import Roots, find_roots

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAVY = ('jax', 'flax', 'libcst', 'orbax', 'optax', 'tensorstore', 'numpy')

LINEN = '''\
"""A small model."""
from flax import linen as nn


class Mlp(nn.Module):
  """Two layers."""

  features: int  # hidden width

  @nn.compact
  def __call__(self, x):
    x = nn.relu(nn.Dense(self.features)(x))
    return nn.Dense(3)(x)
'''
PLAIN = 'def double(x):\n  return 2 * x\n'


@pytest.fixture
def run(capsys):
  """Runs the command line in this process; returns (exit code, stdout, stderr)."""

  def runs(*words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
      main([str(word) for word in words])
    out, err = capsys.readouterr()
    return ended.value.code, out, err

  return runs


@pytest.fixture
def failing(run):
  """Runs and asserts a failure: exit 2, one line on stderr; returns that line."""

  def runs(*words):
    code, _, err = run(*words)
    assert code == 2, err
    assert err.startswith('linen2nnx: ') and err.count('\n') == 1, err
    return err

  return runs


@pytest.fixture
def repository(tmp_path):
  (tmp_path / 'pyproject.toml').write_text('[project]\nname = "zoo"\n')
  (tmp_path / 'zoo').mkdir()
  (tmp_path / 'zoo/__init__.py').write_text('')
  (tmp_path / 'zoo/mlp.py').write_text(LINEN)
  (tmp_path / 'zoo/plain.py').write_text(PLAIN)
  return tmp_path


def contents(folder):
  return {path.relative_to(folder).as_posix(): path.read_bytes()
          for path in sorted(folder.rglob('*')) if path.is_file() and '.git' not in path.parts}


# ---- help, version, completion


@pytest.mark.parametrize('words', [
    ['--help'], ['--version'], [], ['migrate', '--help'], ['convert', '--help'], ['check', '--help'],
    ['rules', '--help'], ['completion', 'bash'], ['migrate', 'no/such/path'], ['migrate'],
])
def test_answers_without_loading_anything_heavy(words):
  code = ('import sys, runpy\n'
          f'sys.argv = ["linen2nnx", *{words!r}]\n'
          'try:\n  runpy.run_module("migrator", run_name="__main__")\n'
          f'finally:\n  print("LOADED", *sorted(set({HEAVY!r}) & set(sys.modules)))')
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.stdout.splitlines()[-1] == 'LOADED', done.stdout


@pytest.mark.parametrize('name', COMMANDS)
def test_help_of_every_command_has_examples_of_that_command(run, name):
  code, out, _ = run(name, '--help')
  assert code == 0
  assert f'linen2nnx {name}' in out.partition('Examples:')[2]


def test_help_lists_every_command_and_the_exit_codes(run):
  code, out, _ = run('--help')
  assert code == 0 and all(name in out for name in COMMANDS) and 'Exit codes' in out


def test_version(run):
  code, out, _ = run('--version')
  assert code == 0 and out.startswith(f'linen2nnx {__version__} (Python') and 'flax 0.12' in out


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_completion_names_the_command(run, shell):
  code, out, _ = run('completion', shell)
  assert code == 0 and '_LINEN2NNX_COMPLETE' in out


def test_completion_completes_commands():
  asked = {'_LINEN2NNX_COMPLETE': 'bash_complete', 'COMP_WORDS': 'linen2nnx ch', 'COMP_CWORD': '1'}
  done = subprocess.run([sys.executable, '-c', 'from migrator.cli import main; main()'], cwd=ROOT,
                        env={**os.environ, **asked}, capture_output=True, text=True, check=False)
  assert 'check' in done.stdout and 'rules' not in done.stdout


# ---- failures


@pytest.mark.parametrize('words, message', [
    (['transmogrify'], "No such command 'transmogrify'"),
    (['migrate'], "Missing argument 'PATH...'"),
    (['migrate', 'no/such/folder'], 'no/such/folder: no such file or folder'),
    (['migrate', '.', '--names', 'funny'], "'funny' is not one of"),
    (['migrate', '.', '--write', '--out', 'x'], 'exclude each other'),
    (['check'], 'give --base REV or --linen-root DIR'),
    (['check', '--base', 'HEAD', '--nnx-root', 'no/such'], 'no/such: no such file or folder'),
    (['rules', 'Dens'], 'did you mean Dense?'),
    (['convert'], "Missing argument 'IN'"),
    (['completion', 'tcsh'], "'tcsh' is not one of"),
])
def test_wrong_use_is_one_line(failing, words, message):
  assert message in failing(*words)


def test_internal_error_is_one_line_with_a_hint():
  assert describe(ZeroDivisionError('a\nb')) == (
      'internal error (ZeroDivisionError: a b); run with --debug for the traceback')
  assert describe(Failure('x:\n  y')) == 'x: y'
  assert describe(PermissionError(13, 'Permission denied', 'f.py')) == 'f.py: Permission denied'


def test_debug_shows_the_traceback(monkeypatch, run):
  from migrator.commands import completion

  monkeypatch.setattr(completion.command, 'callback', lambda shell: 1 / 0)
  for words in (['--debug', 'completion', 'bash'], ['completion', 'bash', '--debug']):
    code, _, err = run(*words)
    assert code == 2 and 'Traceback' in err and err.endswith('run with --debug for the traceback\n')


# ---- settings and roots


def test_settings_are_read_and_checked(tmp_path):
  file = tmp_path / 'pyproject.toml'
  assert read_settings(tmp_path).names == 'idiomatic'
  file.write_text('[tool.linen2nnx]\nnames = "linen"\njobs = 3\ncases = "cases.py"\n')
  assert (read_settings(tmp_path).names, read_settings(tmp_path).jobs) == ('linen', 3)
  wrong = {'names = "x"': 'choose one of idiomatic, linen', 'nmes = "x"': 'nmes is no setting',
           'jobs = true': 'whole number', 'jobs = 0': 'whole number', 'names = ': 'TOML',
           'manifest = 3': 'file name', 'select = "ViT"': 'list of texts', 'cases = 3': 'tables'}
  for text, message in wrong.items():
    file.write_text(f'[tool.linen2nnx]\n{text}\n')
    with pytest.raises(Failure, match=re.escape(message)):
      read_settings(tmp_path)


def test_roots_by_marker_package_and_src(tmp_path):
  package = tmp_path / 'plain' / 'outer' / 'inner'
  package.mkdir(parents=True)
  for folder in (package, package.parent):
    (folder / '__init__.py').write_text('')
  assert find_roots([package / 'm.py'], root=tmp_path) == Roots(tmp_path, tmp_path)
  # No marker anywhere above is not certain on every machine, so it is made certain here.
  (tmp_path / 'plain' / 'setup.py').write_text('')
  assert find_roots([package]) == Roots(tmp_path / 'plain', tmp_path / 'plain')
  (tmp_path / 'modern' / 'src' / 'pkg').mkdir(parents=True)
  (tmp_path / 'modern' / 'tests').mkdir()
  (tmp_path / 'modern' / 'pyproject.toml').write_text('')
  modern = tmp_path / 'modern'
  assert find_roots([modern / 'src' / 'pkg']) == Roots(modern, modern / 'src')
  assert find_roots([modern / 'src' / 'pkg', modern / 'tests']).source == modern
  with pytest.raises(Failure, match='outside the root'):
    find_roots([package], root=modern)


# ---- rules


def test_rules_in_all_spellings(run):
  texts = {run('rules', name)[1] for name in ('Dense', 'nn.Dense', 'flax.linen.Dense')}
  assert len(texts) == 1 and 'flax.nnx.Linear' in texts.pop()


def test_rules_as_json_and_as_a_table_list_the_same(run):
  code, out, _ = run('rules', '--json')
  rows = json.loads(out)
  assert code == 0 and any(row['linen'][0] == 'flax.linen.Dense' for row in rows)
  assert len(run('rules')[1].splitlines()) == len(rows)


# ---- migrate


def test_migrate_shows_and_writes_nothing(run, repository):
  before = contents(repository)
  code, out, _ = run('migrate', repository / 'zoo')
  assert code == 0
  assert '-class Mlp(nn.Module):' in out and '+class Mlp(nnx.Module):' in out
  assert 'a/zoo/mlp.py' in out and 'plain.py' not in out and '\x1b[' not in out
  assert contents(repository) == before


def test_migrate_write_changes_the_file_and_writes_the_manifest(run, repository):
  code, _, err = run('migrate', repository / 'zoo', '--write', '--allow-dirty')
  after = contents(repository)
  assert code == 0, err
  assert b'nnx.Linear' in after['zoo/mlp.py'] and after['zoo/plain.py'] == PLAIN.encode()
  assert list(json.loads(after['linen2nnx-manifest.json'])['classes']) == ['zoo.mlp:Mlp']


def test_a_second_run_changes_nothing_and_keeps_the_manifest(run, repository):
  run('migrate', repository / 'zoo', '--write', '--allow-dirty')
  before = contents(repository)
  code, out, _ = run('migrate', repository / 'zoo', '--write', '--allow-dirty')
  assert code == 0 and 'nothing to write' in out
  assert contents(repository) == before


def test_migrate_out_copies_everything_and_leaves_the_source(run, repository):
  before, out = contents(repository), repository.parent / f'{repository.name}-ported'
  code, _, err = run('migrate', repository / 'zoo', '--out', out)
  assert code == 0, err
  assert contents(repository) == before
  assert set(contents(out)) == {'zoo/__init__.py', 'zoo/mlp.py', 'zoo/plain.py', 'linen2nnx-manifest.json'}
  assert b'nnx.Linear' in contents(out)['zoo/mlp.py']


def test_migrate_out_refuses_what_is_not_empty(failing, repository):
  before = contents(repository)
  assert 'is not empty' in failing('migrate', repository / 'zoo', '--out', repository / 'zoo')
  assert 'is a file' in failing('migrate', repository / 'zoo', '--out', repository / 'pyproject.toml')
  assert contents(repository) == before


def test_a_file_that_cannot_be_parsed_stops_the_write(run, repository):
  (repository / 'zoo/broken.py').write_text('from flax import linen as nn\nclass A(nn.Module:\n')
  (repository / 'zoo/latin.py').write_bytes(b'from flax import linen as nn\nx = "\xe9"\n')
  before = contents(repository)
  code, _, err = run('migrate', repository / 'zoo', '--write', '--allow-dirty')
  assert code == 2 and 'zoo/broken.py:2' in err and 'zoo/latin.py' in err
  assert contents(repository) == before


def test_dirty_tree_is_refused_unless_allowed(failing, run, repository):
  for words in (['init', '-q'], ['add', '.'], ['commit', '-qm', 'x']):
    subprocess.run(['git', '-C', repository, '-c', 'user.name=a', '-c', 'user.email=a@b', *words], check=True)
  (repository / 'zoo/plain.py').write_text('changed = 1\n')
  before = contents(repository)
  assert 'zoo/plain.py: not committed in git' in failing('migrate', repository / 'zoo', '--write')
  assert contents(repository) == before
  assert run('migrate', repository / 'zoo/mlp.py', '--write')[0] == 0


def test_without_git_the_write_says_so(run, repository):
  code, _, err = run('migrate', repository / 'zoo', '--write')
  assert code == 0 and 'no git repository' in err


def test_a_newer_manifest_is_refused_and_nothing_written(failing, repository):
  newer = {'format': 'linen2nnx-manifest', 'version': 99, 'flax': 'x', 'classes': {}}
  (repository / 'linen2nnx-manifest.json').write_text(json.dumps(newer))
  before = contents(repository)
  message = failing('migrate', repository / 'zoo', '--write', '--allow-dirty')
  assert 'linen2nnx-manifest.json' in message and 'upgrade linen2nnx' in message
  assert contents(repository) == before


def test_report_names_every_class(run, repository):
  file = repository / 'report.json'
  assert run('migrate', repository / 'zoo', '--report', file)[0] == 0
  document = json.loads(file.read_text())
  assert [(row['name'], row['outcome']) for row in document['classes']] == [('zoo.mlp:Mlp', 'native')]
  assert document['written'] is False and str(repository) not in file.read_text()


def test_explain_tells_sizes_and_names(run, failing, repository):
  file = repository / 'zoo/mlp.py'
  code, out, _ = run('migrate', f'{file}:Mlp', '--explain')
  assert code == 0 and 'zoo.mlp:Mlp' in out and 'in_features <-' in out and 'Dense_0 -> linear1' in out
  assert 'no Linen class Mlq; there are: Mlp' in failing('migrate', f'{file}:Mlq', '--explain')
  assert 'wants file.py:Class' in failing('migrate', str(file), '--explain')


def test_modules_of_a_src_folder_are_named_relative_to_it(run, repository):
  (repository / 'src').mkdir()
  (repository / 'zoo').rename(repository / 'src' / 'zoo')
  code, out, _ = run('migrate', repository / 'src', '--write', '--allow-dirty')
  manifest = json.loads((repository / 'linen2nnx-manifest.json').read_text())
  assert code == 0 and list(manifest['classes']) == ['zoo.mlp:Mlp']


def test_settings_of_the_project_apply_and_the_command_line_wins(run, repository):
  (repository / 'pyproject.toml').write_text('[tool.linen2nnx]\nnames = "linen"\n')
  assert 'self.Dense_0' in run('migrate', repository / 'zoo')[1]
  assert 'self.linear1' in run('migrate', repository / 'zoo', '--names', 'idiomatic')[1]


def test_the_mode_of_train_flags_comes_from_the_settings_or_the_command_line(run, tmp_path):
  source = ('from flax import linen as nn\n\n\nclass Net(nn.Module):\n\n  @nn.compact\n'
            '  def __call__(self, x, train: bool):\n    return nn.Dropout(0.5)(x, deterministic=not train)\n')
  (tmp_path / 'net.py').write_text(source)
  (tmp_path / 'pyproject.toml').write_text('[tool.linen2nnx]\nmode = "module"\n')
  assert '+    return self.dropout(x)\n' in run('migrate', tmp_path / 'net.py')[1]
  assert '+    return self.dropout(x, deterministic=not train)' in run('migrate', tmp_path / 'net.py', '--mode', 'argument')[1]
  run('migrate', tmp_path / 'net.py', '--out', tmp_path / 'out')
  manifest = json.loads((tmp_path / 'out' / 'linen2nnx-manifest.json').read_text())
  assert manifest['classes']['net:Net']['modes'] == [
    {'name': 'train', 'method': '__call__', 'position': 1, 'attributes': ['deterministic'], 'required': True}]


# ---- check and convert, on a pair written by hand

NNX = '''\
from flax import nnx


class Mlp(nnx.Module):

  def __init__(self, features: int, *, in_features: int, rngs: nnx.Rngs):
    self.linear1 = nnx.Linear(in_features, features, rngs=rngs)
    self.linear2 = nnx.Linear(features, 3, rngs=rngs)

  def __call__(self, x):
    return self.linear2(nnx.relu(self.linear1(x)))
'''
DENSE = 'flax.linen.Dense'
MANIFEST = Manifest({'zoo.mlp:Mlp': ClassMap(
    'zoo.mlp:Mlp', 'zoo/mlp.py', 5, 'native', ('features',),
    arguments=(SizeArgument('in_features', '__call__', 'x', -1, False),),
    members=(Submodule(None, 'Dense', ('linear1',), DENSE), Submodule(None, 'Dense', ('linear2',), DENSE)))})


@pytest.fixture
def pair(repository):
  """The Linen repository, an NNX tree in `ported`, the manifest and one case."""
  (repository / 'ported/zoo').mkdir(parents=True)
  (repository / 'ported/zoo/mlp.py').write_text(NNX)
  (repository / 'manifest.json').write_text(MANIFEST.to_json())
  (repository / 'cases.toml').write_text(
      '[[cases]]\nname = "mlp"\nmodel = "zoo.mlp:Mlp"\narguments = { features = 4 }\ninputs = ["f32[2,5]"]\n')
  return repository


def check_words(pair):
  return ['check', '--linen-root', pair, '--nnx-root', pair / 'ported', '--cases', pair / 'cases.toml',
          '--manifest', pair / 'manifest.json']


def test_check_passes_on_an_equal_pair(run, failing, pair):
  words = check_words(pair)
  code, out, err = run(*words, '--json', pair / 'check.json')
  assert code == 0, out + err
  assert '1 of 1 cases equal' in out and json.loads((pair / 'check.json').read_text())['exit_code'] == 0
  assert 'no case other; there are: mlp' in failing(*words, 'other')


def test_check_sees_another_activation(run, pair):
  (pair / 'ported/zoo/mlp.py').write_text(NNX.replace('nnx.relu', 'nnx.gelu'))
  page, certificate = pair / 'check.html', pair / 'certificate.json'
  code, out, _ = run(*check_words(pair), 'mlp', '--html', page, '--certificate', certificate, '--format', 'github')
  assert code == 1 and 'differs' in out and '0 of 1 cases equal' in out
  assert '\n::error ' in out and json.loads(certificate.read_text())['cases'] == {}
  text = page.read_text()
  assert 'Linen: zoo/mlp.py' in text and 'nn.relu' in text and 'nnx.gelu' in text


def test_check_without_a_manifest_says_where_it_looked(failing, repository):
  message = failing('check', '--linen-root', repository, '--nnx-root', repository)
  assert 'linen2nnx-manifest.json: no manifest there' in message


@pytest.fixture
def checkpoint(pair):
  arrays = {'params': {'Dense_0': {'kernel': np.ones((5, 4), 'f4'), 'bias': np.zeros(4, 'f4')},
                       'Dense_1': {'kernel': np.full((4, 3), 2, 'f4'), 'bias': np.ones(3, 'f4')}}}
  file = pair / 'linen.msgpack'
  file.write_bytes(serialization.msgpack_serialize(arrays))
  return file


def test_convert_renames_every_array(run, pair, checkpoint):
  code, out, err = run('convert', checkpoint, pair / 'nnx.msgpack', '--manifest', pair / 'manifest.json')
  assert code == 0, err
  assert '4 arrays' in out and 'not compared with a model' in out and 'Restore it with:' in out
  tree = serialization.msgpack_restore((pair / 'nnx.msgpack').read_bytes())
  assert set(tree) == {'linear1', 'linear2'} and np.all(tree['linear2']['kernel'] == 2)


def test_convert_compares_with_the_model(run, failing, pair, checkpoint):
  words = ['convert', checkpoint, pair / 'nnx.msgpack', '--manifest', pair / 'manifest.json',
           '--model', 'zoo.mlp:Mlp', '--nnx-root', pair / 'ported', '--arguments']
  assert 'linear1' in failing(*words, '{"features": 7, "in_features": 5}')
  assert 'no JSON' in failing(*words, '{features')
  assert not (pair / 'nnx.msgpack').exists()
  code, out, err = run(*words, '{"features": 4, "in_features": 5}')
  assert code == 0 and 'compared with the model' in out, err


def test_convert_failures_are_one_line_and_write_nothing(failing, pair, checkpoint):
  target, manifest = pair / 'nnx.msgpack', pair / 'manifest.json'
  (pair / 'bad.msgpack').write_bytes(b'not a checkpoint')
  assert 'bad.msgpack' in failing('convert', pair / 'bad.msgpack', target, '--manifest', manifest)
  assert 'no such file' in failing('convert', pair / 'none', target, '--manifest', manifest)
  words = ('convert', checkpoint, target, '--manifest', manifest)
  assert 'zoo.mlp:Other' in failing(*words, '--class', 'zoo.mlp:Other')
  assert 'no manifest there' in failing('convert', checkpoint, target, '--manifest', pair / 'none.json')
  assert not target.exists()
