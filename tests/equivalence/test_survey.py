"""The survey: goes on where it was stopped, counts verdicts, and overlooks no case that is not explained."""
from __future__ import annotations

import json

import pytest

from benchmarks.corpus.packages import Package
from benchmarks.equivalence import survey

SOURCE = '''import jax.numpy as jnp
import flax.linen as nn


class Mlp(nn.Module):
  features: int

  @nn.compact
  def __call__(self, x):
    return nn.LayerNorm()(nn.relu(nn.Dense(self.features)(x)))


class Odd(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.map_variables(nn.Dense, 'params', lambda tree: tree)(3)(x)
'''
CASES = """[[cases]]
name = 'mlp'
model = 'pkg.model:Mlp'
arguments = { features = 3 }
inputs = ['f32[2,4]']

[[cases]]
name = 'odd'
model = 'pkg.model:Odd'
inputs = ['f32[2,4]']
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
  package = tmp_path / 'cache' / 'pkg-1' / 'pkg'
  package.mkdir(parents=True)
  (package / '__init__.py').write_text('')
  (package / 'model.py').write_text(SOURCE)
  (tmp_path / 'pkg.toml').write_text(CASES)
  monkeypatch.setattr('benchmarks.corpus.compare_package.CASES', tmp_path)
  monkeypatch.setattr(survey, 'read_table', lambda: [Package('pkg', '1')])
  words = ['survey', '--package', 'pkg', '--numerics', 'exact', '--results', str(tmp_path / 'results'),
           '--cache', str(tmp_path / 'cache')]

  def run(*more):
    monkeypatch.setattr('sys.argv', [*words, *more])
    return survey.main()

  return run, tmp_path / 'results' / 'pkg-1.exact.json'


def test_one_package_is_surveyed_and_not_done_again(run, capsys):
  main, file = run
  assert main() == 0
  text = capsys.readouterr().out
  assert 'corpus, --numerics exact: 1 cases, 1 stay Linen' in text
  assert 'eval and gradient L0u or better: 1 of 1 cases (100%, wanted 90%)' in text
  assert 'stays Linen: pkg-1: odd: it stays Linen:' in text
  document = json.loads(file.read_text())
  row = document['cases'][0]
  assert row['levels'] == dict.fromkeys(['weights', 'eval', 'gradient', 'step', 'batch of one', 'init'], 'L0')
  assert 'numbers' not in row, 'what is proved needs none'
  row['levels']['eval'] = 'differs'
  file.write_text(json.dumps(document))
  assert main('--table') == main() == 1, 'what is there is not done again'
  assert 'not explained: pkg-1: mlp: eval: differs' in capsys.readouterr().out
  assert main('--again') == 0


def row(levels, **more):
  return {'name': 'c', 'model': 'm:C', 'refused': False, 'failure': '', 'levels': {'weights': 'L0', **levels}, 'reasons': {}, **more}


@pytest.mark.parametrize('given, explained', [
  (row({'eval': 'L0', 'gradient': 'L2'}), True),
  (row({'eval': 'L0', 'gradient': 'L2-precision'}), False),
  (row({'eval': 'not proved'}), False),
  (row({'eval': 'not proved'}, numbers='close', parts={}), True),
  (row({'eval': 'not proved'}, numbers='differs', parts={'eval': 'differs by much'}), False),
  (row({'eval': 'L0', 'init': 'not proved'}), True),
  (row({'eval': 'L0', 'init': 'differs'}), False),
  (row({'eval': 'differs'}, numbers='bitwise', parts={}), False),
  (row({}, failure='the worker ended'), False)])
def test_what_is_explained(given, explained):
  assert (survey.unexplained_reason(given) == '') is explained
