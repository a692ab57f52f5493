"""The GitHub action and the pre-commit hook: read as YAML, their commands run as the services run them."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from migrator.manifest import ClassMap, Manifest, SizeArgument, Submodule

ROOT = Path(__file__).resolve().parents[2]
LINEN = """from flax import linen as nn


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.relu(nn.Dense(4)(x))
"""
NNX = """from flax import nnx


class Net(nnx.Module):
  def __init__(self, *, in_features: int, rngs: nnx.Rngs):
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)

  def __call__(self, x):
    return nnx.gelu(self.linear(x))
"""
SETTINGS = """[[tool.linen2nnx.cases]]
name = "net"
model = "zoo.net:Net"
inputs = ["f32[2,3]"]
gradients = false
"""
KNOWN = Manifest({'zoo.net:Net': ClassMap(
  'zoo.net:Net', 'zoo/net.py', 1, 'native', arguments=(SizeArgument('in_features', '__call__', 'x'),),
  members=(Submodule(None, 'Dense', ('linear',), 'flax.linen.Dense'),))})


def read(name: str):
  return yaml.safe_load((ROOT / name).read_text(encoding='utf-8'))


def git(folder: Path, *words: str) -> str:
  identity = ('-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'protocol.file.allow=always')
  return subprocess.run(['git', *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
  """A shallow checkout of the ported branch; the Linen revision is only at its origin."""
  origin = tmp_path / 'origin'
  (origin / 'src/zoo').mkdir(parents=True)
  (origin / 'src/zoo/net.py').write_text(LINEN)
  git(tmp_path, 'init', '-q', '-b', 'main', 'origin')
  git(origin, 'add', '.')
  git(origin, 'commit', '-qm', 'Linen')
  git(origin, 'checkout', '-qb', 'port')
  (origin / 'src/zoo/net.py').write_text(NNX)
  (origin / 'pyproject.toml').write_text(SETTINGS)
  (origin / 'linen2nnx-manifest.json').write_text(KNOWN.to_json())
  git(origin, 'add', '.')
  git(origin, 'commit', '-qm', 'NNX')
  git(tmp_path, 'clone', '-q', '--depth=1', '--branch=port', origin.as_uri(), 'work')
  return tmp_path / 'work'


@pytest.fixture
def wheel(tmp_path) -> Path:
  """This source as a wheel, so that pip has something to install without a network."""
  file, info = tmp_path / 'linen2nnx-0.0-py3-none-any.whl', 'linen2nnx-0.0.dist-info'
  texts = {'METADATA': 'Metadata-Version: 2.1\nName: linen2nnx\nVersion: 0.0\n',
           'WHEEL': 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'}
  with zipfile.ZipFile(file, 'w') as archive:
    for package in ('migrator', 'rewrites'):
      for source in (ROOT / package).rglob('*'):
        if source.is_file() and '__pycache__' not in source.parts:
          archive.write(source, source.relative_to(ROOT).as_posix())
    for name, text in texts.items():
      archive.writestr(f'{info}/{name}', text)
    archive.writestr(f'{info}/RECORD', '')
  return file


class Runner:
  """Runs the steps of a composite action as GitHub does: expressions filled in, one shell for each step."""

  def __init__(self, action, inputs, folder: Path, environment):
    self.values = {f'inputs.{name}': str(inputs.get(name, row.get('default', '')))
                   for name, row in action['inputs'].items()}
    self.values['github.action_path'] = str(ROOT)
    self.folder, self.environment = folder, environment

  def run(self, step) -> subprocess.CompletedProcess[str]:
    output = self.folder.parent / 'output'
    output.write_text('')
    given = {name: self.filled(text) for name, text in step.get('env', {}).items()}
    assert '${{' not in step['run'], 'what users give belongs into the environment, not into the script'
    done = subprocess.run([step['shell'], '--noprofile', '--norc', '-eo', 'pipefail', '-c', step['run']],
                          cwd=self.folder, capture_output=True, text=True, check=False,
                          env={**self.environment, **given, 'GITHUB_OUTPUT': str(output)})
    for line in output.read_text().splitlines():
      name, _, value = line.partition('=')
      self.values[f'steps.{step["id"]}.outputs.{name}'] = value
    return done

  def filled(self, text: str) -> str:
    def value(match: re.Match[str]) -> str:
      return next(filter(None, (self.values[name.strip()] for name in match[1].split('||'))), '')
    return re.sub(r'\$\{\{(.*?)\}\}', value, text)


def test_the_action_runs_from_checkout_to_annotations(checkout, wheel, tmp_path):
  action = read('action.yml')
  installed = tmp_path / 'installed'
  environment = {**os.environ, 'PIP_TARGET': str(installed), 'PIP_NO_DEPS': '1', 'PIP_NO_INDEX': '1',
                 'PYTHONPATH': str(installed), 'RUNNER_TEMP': str(tmp_path)}
  runner = Runner(action, {'base': 'main', 'package': wheel, 'python': sys.executable, 'html': 'report.html',
                           'certificate': 'certificate.json', 'arguments': '--shapes-only net'}, checkout, environment)
  install, base, check = action['runs']['steps']
  done = runner.run(install)
  assert done.returncode == 0, done.stderr
  assert (installed / 'migrator/report/check/schema.json').is_file()
  done = runner.run(base)
  assert done.returncode == 0, done.stderr
  assert runner.values['steps.base.outputs.revision'] == git(tmp_path / 'origin', 'rev-parse', 'main').strip()
  done = runner.run(check)
  assert done.returncode == 1, done.stdout + done.stderr
  assert '::error file=src/zoo/net.py,line=9,' in done.stdout, done.stdout
  report = json.loads(Path(runner.filled(action['outputs']['json']['value'])).read_text())
  assert report['exit_code'] == 1 and report['cases'][0]['name'] == 'net'
  assert 'nn.relu' in (checkout / 'report.html').read_text()


def test_the_action_uses_nothing_from_elsewhere():
  action = read('action.yml')
  steps = action['runs']['steps']
  assert action['runs']['using'] == 'composite' and all('uses' not in step for step in steps)
  assert all({'name', 'shell', 'run'} <= set(step) for step in steps)
  assert [step['name'] for step in steps if 'pip' in step['run']] == ['Install linen2nnx']
  asked = set(re.findall(r'inputs\.(\w+)', (ROOT / 'action.yml').read_text()))
  assert asked == set(action['inputs']) and action['inputs']['base']['required'] is True


def test_the_hook_is_a_command_that_runs(checkout):
  hook, = read('.pre-commit-hooks.yaml')
  assert {'id', 'name', 'entry', 'language'} <= set(hook) and hook['pass_filenames'] is False
  assert [file for file in ('a/b.py', 'pyproject.toml', 'linen2nnx-manifest.json', 'notes.md')
          if re.search(hook['files'], file)] == ['a/b.py', 'pyproject.toml', 'linen2nnx-manifest.json']
  program, *words = hook['entry'].split()
  assert program in (ROOT / 'pyproject.toml').read_text()
  # The console script `linen2nnx` is `migrator.cli:main`, which is what `-m migrator` runs.
  done = subprocess.run([sys.executable, '-m', 'migrator', *words, '--base', 'nowhere'], cwd=checkout,
                        env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True, check=False)
  assert done.returncode == 2 and 'nowhere: no such revision' in done.stderr
