"""The pytest plugin: cases are tests of the user's own run."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from check_pairs import auto, entry, manifest, write

ROOT = Path(__file__).resolve().parents[2]
LINEN = """
from flax import linen as nn


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.relu(nn.Dense(4)(x))
"""
NNX = """
from flax import nnx


class Net(nnx.Module):
  def __init__(self, *, in_features: int, rngs: nnx.Rngs):
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)

  def __call__(self, x):
    return nnx.relu(self.linear(x))
"""
CASES = """
[[tool.linen2nnx.cases]]
name = "equal"
model = "zoo.equal:Net"
inputs = ["f32[2,3]"]
gradients = false

[[tool.linen2nnx.cases]]
name = "lost"
model = "zoo.lost:Net"
inputs = ["f32[2,3]"]
gradients = false
"""


def pytest_run(folder, *options: str) -> subprocess.CompletedProcess[str]:
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
  plugins = ['-p', 'no:cacheprovider', '-p', 'no:linen2nnx', '-p', 'migrator.plugin']
  command = [sys.executable, '-m', 'pytest', *plugins]
  return subprocess.run([*command, '--rootdir', str(folder), *options], cwd=folder, env=environment,
                        capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path):
  known = manifest(*(entry(f'zoo.{name}:Net', auto('Dense', 'linear')) for name in ('equal', 'lost'))).to_json()
  write(tmp_path, {
    'old/zoo/equal.py': LINEN, 'old/zoo/lost.py': LINEN, 'new/zoo/equal.py': NNX,
    'new/zoo/lost.py': NNX.replace('nnx.relu(self.linear(x))', 'self.linear(x)')})
  return write(tmp_path, {'pyproject.toml': CASES, 'linen2nnx-manifest.json': known,
                          'test_own.py': 'def test_own(): pass\n'})


def test_without_the_option_nothing_is_collected(project):
  assert '1 passed' in pytest_run(project).stdout


def test_missing_linen_side_is_one_clear_line(project):
  done = pytest_run(project, '--linen2nnx')
  assert done.returncode == 1 and 'give --linen-base REV or --linen2nnx-linen-root DIR' in done.stdout


@pytest.fixture
def repository(project):
  """A git repository: Linen in its first commit, the port in the work tree, under src."""
  def git(*words):
    subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *words], cwd=project, check=True)

  (project / 'old').rename(project / 'src')
  git('init', '-q')
  git('add', '.')
  git('commit', '-q', '-m', 'Linen')
  for name in ('equal', 'lost'):
    (project / 'new/zoo' / f'{name}.py').rename(project / 'src/zoo' / f'{name}.py')
  return project


def test_a_revision_alone_makes_every_case_a_test(repository):
  done = pytest_run(repository, '-v', '--linen-base=HEAD', '--junitxml=junit.xml')
  assert done.returncode == 1 and '1 failed, 2 passed' in done.stdout, done.stdout + done.stderr
  assert 'equal PASSED' in done.stdout and 'lost FAILED' in done.stdout
  assert re.search('differs +eval', done.stdout) and 'Traceback' not in done.stdout
  suite = ElementTree.parse(repository / 'junit.xml').getroot()[0]
  cases = {case.get('name'): case for case in suite.iter('testcase')}
  assert set(cases) == {'equal', 'lost', 'test_own'} and suite.get('failures') == '1'
  assert 'Net' in cases['lost'].find('failure').text
  verdicts = {item.get('name'): item.get('value') for item in cases['equal'].iter('property')}
  assert verdicts['eval'] == 'bitwise'
  trees = subprocess.run(['git', 'worktree', 'list'], cwd=repository, capture_output=True, text=True, check=True)
  assert len(trees.stdout.splitlines()) == 1


def test_case_files_may_be_given_and_one_case_chosen(project):
  tables = [f'dict(name="{name} net", model="zoo.equal:Net", inputs=["f32[2,3]"])' for name in ('one', 'two')]
  (project / 'cases_a.py').write_text(f'CASES = [{", ".join(tables)}]\n')
  roots = ['--linen2nnx-linen-root=old', '--linen2nnx-nnx-root=new']
  done = pytest_run(project, '-v', '--linen2nnx=cases_a.py', *roots, '-k', 'one', 'cases_a.py')
  assert done.returncode == 0 and '1 passed, 1 deselected' in done.stdout, done.stdout + done.stderr
  assert 'cases_a.py::one net PASSED' in done.stdout


@pytest.mark.parametrize('words, collected', [
  (['cases_a.py', 'cases_b.toml'], ['cases_a.py::a', 'cases_b.toml::b']), (['test_own.py'], ['pyproject.toml::equal']),
])
def test_case_files_among_the_arguments_replace_the_settings(project, words, collected):
  table = 'name="{}", model="zoo.equal:Net", inputs=["f32[2,3]"]'
  (project / 'cases_a.py').write_text(f'CASES: list = [dict({table.format("a")})]\n')
  (project / 'cases_b.toml').write_text('[[cases]]\n' + table.format('b').replace(', ', '\n', 2))
  done = pytest_run(project, '--collect-only', '-q', '--linen-base=HEAD', *words)
  assert done.returncode == 0 and [item for item in collected if item not in done.stdout] == [], done.stdout
  assert ('pyproject.toml' in done.stdout) == (collected[0].startswith('pyproject'))


def test_a_wrong_revision_is_one_clear_line(repository):
  done = pytest_run(repository, '--linen-base=nowhere', 'pyproject.toml')
  assert done.returncode == 1 and 'nowhere: no such revision' in done.stdout and 'Traceback' not in done.stdout


def test_bad_case_is_a_collection_error(project):
  (project / 'pyproject.toml').write_text(CASES.replace('f32[', 'f31['))
  done = pytest_run(project, '--linen2nnx', '--linen2nnx-linen-root=old')
  assert done.returncode == 2 and "case 'equal': inputs[0]" in done.stdout


def test_plugin_imports_nothing_heavy():
  code = ('import sys, migrator.plugin\n'
          'print([name for name in ("jax", "flax", "numpy", "rich") if name in sys.modules])')
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
  assert done.stdout.strip() == '[]'
