"""`linen2nnx compare` between layouts, sides and damaged copies."""
from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import optax
import pytest
import savers
from flax import serialization

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'weights'))

from pairs import MLP
from test_optimizer import trained

from migrator.checkpoints.layouts import open_checkpoint, steps
from migrator.cli import main
from migrator.weights.compare import compare
from migrator.weights.convert import convert


@pytest.fixture(scope='module')
def tree():
  state = trained(MLP, optax.adamw(1e-2), 2)[-1]
  return {'params': state.params, 'opt_state': state.opt_state, 'step': state.step}


@pytest.fixture
def pair(tree, tmp_path):
  """A Linen train state and what `convert` makes of it."""
  savers.standard(tmp_path / 'linen', tree)
  convert(tmp_path / 'linen', tmp_path / 'nnx', MLP.manifest)
  (tmp_path / 'manifest.json').write_text(MLP.manifest.to_json())
  return tmp_path


def run(capsys, *words):
  with pytest.raises(SystemExit) as stopped:
    main(['compare', *map(str, words)])
  return stopped.value.code, capsys.readouterr().out


def test_what_convert_made_is_the_same_without_reading(pair, capsys):
  code, out = run(capsys, pair / 'linen', pair / 'nnx', '--manifest', pair / 'manifest.json')
  assert code == 0 and 'no differences' in out and 'A through the manifest' in out
  assert '20 of them the same bytes' in out  # the step, whose type changes, is compared with its new bytes
  code, out = run(capsys, pair / 'nnx', pair / 'linen', '--manifest', pair / 'manifest.json')
  assert code == 0 and 'B through the manifest' in out


@pytest.mark.parametrize('layout', savers.LAYOUTS)
def test_any_layout_with_any_other(layout, pair, tree):
  given = savers.LAYOUTS[layout](pair / 'other', tree)
  other = open_checkpoint(steps.locate(given['source'], given.get('step'), given.get('item')))
  assert compare(open_checkpoint(pair / 'linen'), other).differences == ()
  assert compare(other, open_checkpoint(pair / 'nnx'), MLP.manifest).differences == ()


def changed(pair, tree, change):
  state = serialization.to_state_dict(tree)
  change(state)
  (pair / 'changed').write_bytes(serialization.to_bytes(state))
  return pair / 'changed'


def test_differences_are_ranked(pair, tree, capsys):
  def change(state):
    kernel = np.array(state['params']['middle']['kernel'])
    kernel[0, 0] += 0.5
    bias = np.array(state['params']['middle']['bias'])
    bias[1] *= 1 + 1e-6
    state['params']['middle'] = {'kernel': kernel, 'bias': bias}
    state['params']['more'] = np.ones(3)
    state['params']['Dense_0']['bias'] = np.asarray(state['params']['Dense_0']['bias'], np.float64)
    state['params']['scale'] = np.ones(7, np.float32)
    del state['opt_state']['0']['mu']['middle']

  words = pair / 'linen', changed(pair, tree, change)
  code, out = run(capsys, *words, '--json')
  found = [(item['kind'], item['path']) for item in json.loads(out)['differences']]
  assert code == 1 and found == [
    ('only in A', 'opt_state/0/mu/middle/bias'), ('only in A', 'opt_state/0/mu/middle/kernel'),
    ('dtype', 'params/Dense_0/bias'), ('only in B', 'params/more'), ('shape', 'params/scale'),
    ('values', 'params/middle/kernel'), ('values', 'params/middle/bias')]
  code, out = run(capsys, *words, '--tolerance', '1e-4', '--top', 1)
  assert code == 1 and '6 differences' in out and '... and 5 more' in out
  code, out = run(capsys, *words, '--structure')
  assert code == 1 and '5 differences' in out


@pytest.mark.parametrize('value, count', [(np.nan, 1), (np.inf, 1)])
def test_nan_and_infinity_are_differences(value, count, pair, tree):
  def change(state):
    scale = np.array(state['params']['scale'])
    scale[0] = value
    state['params']['scale'] = scale

  found = compare(open_checkpoint(pair / 'linen'), open_checkpoint(changed(pair, tree, change)), tolerance=0.1)
  assert [(item.path, item.count) for item in found.differences] == [('params/scale', count)]


def test_failures_are_exit_code_two(pair, capsys):
  (pair / 'no').write_bytes(b'hello')
  assert run(capsys, pair / 'linen', pair / 'no')[0] == 2
  assert run(capsys, pair / 'linen', pair / 'absent')[0] == 2
