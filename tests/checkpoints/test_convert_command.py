"""`linen2nnx convert` by its command line: both ways, folders of steps, forms, and what it refuses."""
from __future__ import annotations

import pathlib
import sys

import optax
import pytest
import savers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'weights'))

from pairs import MLP
from test_optimizer import trained

from migrator.cli import main


@pytest.fixture
def place(tmp_path):
  state = trained(MLP, optax.adamw(1e-2), 1)[-1]
  savers.training_msgpack(tmp_path / 'run', {'params': state.params, 'opt_state': state.opt_state, 'step': state.step})
  (tmp_path / 'manifest.json').write_text(MLP.manifest.to_json())
  return tmp_path


@pytest.fixture
def run(place, capsys):
  def call(*words):
    with pytest.raises(SystemExit) as stopped:
      main(['convert', *map(str, words), '--manifest', str(place / 'manifest.json')])
    said = capsys.readouterr()
    return stopped.value.code, said.out, said.err
  return call


def test_there_and_back(run, place):
  code, out, _ = run(place / 'run', place / 'nnx', '--step', 'latest', '--verify', 'deep')
  assert code == 0 and 'train state of m:Root, from msgpack' in out and 'all bytes compared' in out
  template = place / 'run' / f'checkpoint_{savers.STEP}'
  code, out, _ = run(place / 'nnx', place / 'back.msgpack', '--to', 'linen', '--template', template)
  assert code == 0 and 'flax.serialization.msgpack_restore' in out
  assert (place / 'back.msgpack').read_bytes() == template.read_bytes()


def test_a_dry_run_lists_every_array_and_writes_nothing(run, place):
  code, out, _ = run(place / 'run', place / 'nnx', '--step', savers.STEP, '--dry-run')
  assert code == 0 and 'nothing was written' in out and not (place / 'nnx').exists()
  assert 'kept    model/middle/kernel/value  float32[5,4]  from params/middle/kernel' in out


@pytest.mark.parametrize('form', ['orbax-pure', 'msgpack', 'safetensors'])
def test_forms(form, run, place):
  code, out, _ = run(place / 'run', place / 'nnx', '--step', 3, '--form', form)
  assert code == 0 and 'replace_by_pure_dict' in out and (place / 'nnx').exists()


@pytest.mark.parametrize('words, said', [
  ((), 'this is a folder of steps'), (('--step', '8'), 'step 8 is there 0 times'), (('--layout', 'orbax', '--step', '3'), 'use layout msgpack'),
  (('--step', '3', '--rngs', '1'), '--model beside --rngs'), (('--step', '3', '--template', 'x'), '--to linen'),
  (('--step', '3', '--to', 'linen'), 'give --template'), (('--step', '3', '--call', '{}'), 'give --model'),
  (('--step', '3', '--rule', 'shuffle a'), 'is no rule'), (('--step', '3', '--item', 'params'), 'no folder of items')])
def test_refusals(words, said, run, place):
  code, _, err = run(place / 'run', place / 'nnx', *words)
  assert code == 2 and said in err and not (place / 'nnx').exists()
