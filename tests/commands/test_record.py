"""`linen2nnx record`: a run leaves cases that `check` takes as they are."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from migrator.failure import Failure
from tests.commands.tools import linen2nnx, ran, written

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / 'fixtures' / 'bridge' / 'scripts'

MODELS = '''\
import dataclasses
import enum
import functools
from typing import Any, Callable

from flax import linen as nn
import jax
import jax.numpy as jnp


class Kind(enum.Enum):
  WIDE = 'wide'


@dataclasses.dataclass(frozen=True)
class Config:
  width: int = 4
  kind: Kind = Kind.WIDE
  sizes: tuple = (1, 2)


def twice(x):
  return 2 * x


class Net(nn.Module):
  config: Config = Config()
  act: Callable = nn.relu
  dtype: Any = jnp.float32
  start: Callable = nn.initializers.lecun_normal()
  scale: float = 1.0
  after: Any = None

  @nn.compact
  def __call__(self, tokens, train=False, mask=None, *, more=None):
    x = nn.Embed(11, self.config.width)(tokens)
    x = nn.Dense(3, kernel_init=self.start, dtype=self.dtype)(self.act(x))
    x = nn.BatchNorm(use_running_average=not train)(x)
    x = nn.Dropout(0.5, deterministic=not train)(x)
    return self.scale * (x if mask is None else x * mask[..., None])


class Outer(nn.Module):
  inner: nn.Module

  def __call__(self, x):
    return self.inner(x)
'''
USE = '''\
import functools
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import DenyList
from models import Config, Kind, Net, Outer, twice

key = jax.random.key(0)
tokens = np.array([[1, 2, 9]] * 4)
net = Net(Config(width=5, sizes=(3,)), act=twice, dtype=jnp.bfloat16, start=nn.initializers.normal(0.02),
          scale=0.5, after=functools.partial(jnp.sum, axis=-1))
variables = net.init({'params': key, 'dropout': key}, tokens)
jax.jit(functools.partial(net.apply, mutable=['batch_stats'], train=True))(
  variables, tokens, mask=jnp.ones((4, 3), bool), rngs={'dropout': key})
net.apply(variables, tokens, False, jnp.ones((4, 3), bool))
net.apply(variables, tokens[:2], False, jnp.ones((2, 3), bool))
plain = Net()
Net(scale=2).init_with_output(key, tokens, more={'a': [jnp.ones(2), None], 'b': 'text'})
plain.apply(plain.init(key, tokens), tokens, True, mutable=DenyList(['params']), rngs={'dropout': key})


class Local(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(2)(x)


def inside():
  class Hidden(nn.Module):
    def __call__(self, x):
      return x
  return Hidden().apply({}, 1.0)


Local().init(key, jnp.ones((1, 2)))
inside()
Outer(nn.Dense(3)).init(key, jnp.ones((1, 2)))
nn.Dense(3).init(key, jnp.ones((1, 2)))
print('done')
'''


def recorded(folder, *words, options=()):
  """Runs `record` in a folder; returns exit code, output and the cases."""
  done = subprocess.run([sys.executable, '-m', 'migrator', 'record', *options, '--', *words], cwd=folder,
                        env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{folder}', 'JAX_PLATFORMS': 'cpu'},
                        capture_output=True, text=True, check=False)
  file = folder / 'linen2nnx-cases.toml'
  cases = tomllib.loads(file.read_text())['cases'] if file.exists() else []
  return done.returncode, done.stdout + done.stderr, cases


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  folder = written(tmp_path_factory.mktemp('models'), {'pyproject.toml': '', 'models.py': MODELS, 'use.py': USE})
  return folder, recorded(folder, sys.executable, 'use.py')


def test_fields_inputs_flags_streams_and_collections(models):
  _, (code, out, cases) = models
  assert sorted(case.pop('name') for case in cases) == ['local', 'net 1', 'net 2', 'net 3'], out
  [start] = {case['arguments'].pop('start') for case in cases if 'start' in case.get('arguments', ())}
  assert start.startswith('jax.nn.initializers.normal(stddev=0.02')
  arguments = {
    'config': 'models.Config(width=5, sizes=(3,))', 'act': 'models.twice', 'dtype': 'jnp.bfloat16', 'scale': 0.5,
    'after': 'functools.partial(jnp.sum, axis=-1)'}
  by_content = {json.dumps(case, sort_keys=True) for case in cases}
  expected = [
    {'model': 'use:Local', 'inputs': ['f32[1,2]'], 'eval': {}},
    {'model': 'models:Net', 'arguments': arguments, 'inputs': ['i32[2,3] < 10'], 'keywords': {'mask': 'bool[2,3]'},
     'eval': {'train': False}, 'train': {'train': True}, 'rngs': ['dropout'], 'mutable': ['batch_stats']},
    {'model': 'models:Net', 'inputs': ['i32[4,3] < 10'], 'eval': False, 'train': {'train': True},
     'rngs': ['dropout'], 'mutable': ['batch_stats']},
    {'model': 'models:Net', 'arguments': {'scale': 2}, 'inputs': ['i32[4,3] < 10'], 'eval': {}, 'keywords': {
      'more': "={'a': [jnp.asarray(np.random.default_rng(0).normal(size=(2,)), 'float32'), None], 'b': 'text'}"}},
  ]
  assert by_content == {json.dumps(case, sort_keys=True) for case in expected}


def test_the_texts_mean_the_values(models):
  folder, _ = models
  cases = tomllib.loads((folder / 'linen2nnx-cases.toml').read_text())['cases']
  [case] = [case for case in cases if 'start' in case.get('arguments', ())]
  code = f'''
from migrator.equivalence.models import library_names, value_of
import jax, jax.numpy as jnp, models
given = {{name: value_of(text, library_names()) for name, text in {case['arguments']!r}.items()}}
net = models.Net(**given)
assert net.config == models.Config(5, sizes=(3,)) and net.act is models.twice and net.dtype is jnp.bfloat16
assert net.after(jnp.ones((2, 3))).shape == (2,)
key = jax.random.key(0)
made = given['start'](key, (8, 3), jnp.float32)
assert (made == jax.nn.initializers.normal(0.02)(key, (8, 3), jnp.float32)).all()
print('equal')
'''
  assert ran(folder, '-c', f'import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}') == 'equal\n'


def test_what_fits_in_no_case_is_told(models):
  _, (code, out, _) = models
  assert code == 1 and out.startswith('done\n')
  assert 'not recorded: models:Outer: the field inner: a module that was made already' in out
  assert 'not recorded: use:inside.<locals>.Hidden: the class is defined inside a function' in out
  assert 'Dense' not in out


def test_no_weights_and_nothing_else_is_written(models):
  folder, _ = models
  files = {path.name for path in folder.iterdir()} - {'__pycache__'}
  assert files == {'pyproject.toml', 'models.py', 'use.py', 'linen2nnx-cases.toml'}
  assert (folder / 'linen2nnx-cases.toml').stat().st_size < 2000


def test_recorded_cases_prove_the_migration(tmp_path):
  folder = tmp_path / 'linen'
  shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns('__pycache__'))
  (folder / 'pyproject.toml').write_text('')
  assert recorded(folder, sys.executable, 'use.py')[0] == 1  # methods of parts of the weights
  first = (folder / 'linen2nnx-cases.toml').read_text()
  code, out, cases = recorded(folder, sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests',
                              options=['--append'])
  assert code == 0 and '3 passed' in out, out
  assert (folder / 'linen2nnx-cases.toml').read_text().startswith(first[:200])
  assert {case['model'] for case in cases} == {'zoo.net:Net', 'zoo.net:Autoencoder', 'zoo.net:Policy'}
  assert linen2nnx('migrate', folder, '--out', tmp_path / 'nnx')[0] == 1
  code, out = linen2nnx('check', '--linen-root', folder, '--nnx-root', tmp_path / 'nnx', '--manifest',
                        tmp_path / 'nnx' / 'linen2nnx-manifest.json', '--cases', folder / 'linen2nnx-cases.toml',
                        '--shapes-only')
  assert code == 0 and f'{len(cases)} of {len(cases)} cases equal' in out, out


SMALL = '''\
from flax import linen as nn
import jax, jax.numpy as jnp


class Net(nn.Module):
  width: int = 2

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.width)(x)


if __name__ == '__main__':
  import sys
  for width in map(int, sys.argv[1].split(',')):
    for size in (1, 5, 3):
      Net(width).init(jax.random.key(0), jnp.ones((size, 4)))
  sys.exit(int(sys.argv[2]))
'''


def test_calls_that_differ_in_numbers_alone_are_few(tmp_path):
  folder = written(tmp_path, {'pyproject.toml': '', 'net.py': SMALL})
  code, out, cases = recorded(folder, sys.executable, 'net.py', '9,3,4,5,6,2', '0')
  assert code == 0, out
  assert [case['arguments'] for case in cases if 'arguments' in case] == [{'width': 3}, {'width': 4}, {'width': 5}]
  assert {tuple(case['inputs']) for case in cases} == {('f32[3,4]',)} and len(cases) == 4
  assert len(recorded(folder, sys.executable, 'net.py', '9,3,4', '0', options=['--limit', '1'])[2]) == 1


def test_a_command_that_fails_still_leaves_its_cases(tmp_path):
  folder = written(tmp_path, {'pyproject.toml': '', 'net.py': SMALL})
  code, out, cases = recorded(folder, sys.executable, 'net.py', '3', '7')
  assert code == 1 and 'ended with 7' in out and len(cases) == 1


def test_processes_of_processes_and_the_users_own_sitecustomize(tmp_path):
  folder = written(tmp_path, {'pyproject.toml': '', 'net.py': SMALL, 'sitecustomize.py': 'print("mine")\n',
                              'start.py': 'import subprocess, sys\n'
                              'subprocess.run([sys.executable, "net.py", "3", "0"], check=True)\n'})
  code, out, cases = recorded(folder, sys.executable, 'start.py')
  assert code == 0 and out.count('mine') >= 2 and [case['model'] for case in cases] == ['net:Net'], out


def test_nothing_recorded_is_a_failure_and_writes_nothing(tmp_path):
  folder = written(tmp_path, {'pyproject.toml': ''})
  code, out, cases = recorded(folder, sys.executable, '-c', 'print(1)')
  assert code == 2 and 'called no Linen model' in out and not cases
  assert 'no-such-command: No such file' in recorded(folder, 'no-such-command')[1]


def test_a_file_written_by_hand_is_not_overwritten(tmp_path):
  file = written(tmp_path, {'mine.toml': '[[cases]]\n'}) / 'mine.toml'
  with pytest.raises(Failure, match='was not written by `record`'):
    linen2nnx('record', '--output', file, '--', 'true')
