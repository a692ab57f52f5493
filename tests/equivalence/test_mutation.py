"""Breaking the NNX source: which edits are made, and that cases without training miss what only training shows."""
from __future__ import annotations

import ast

import pytest
from check_pairs import CASE, LINEN, NNX, manifest, net_entry, write

from migrator.equivalence import Case
from migrator.equivalence.mutation import mutate_checks
from migrator.equivalence.mutation.edits import KINDS, edits_of
from migrator.failure import Failure
from rewrites.slips import slips

SOURCE = '''
from flax import nnx

class Block(nnx.Module):
  def __init__(self, *, rngs):
    self.linear = nnx.Linear(4, 4, rngs=rngs)
    self.norm = nnx.LayerNorm(4, epsilon=1e-6, scale_init=nnx.initializers.ones_init(), rngs=rngs)
    self.conv = nnx.Conv(4, 4, (3, 3), padding='SAME', use_bias=False, rngs=rngs)
    self.other = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
  def __call__(self, x, train):
    x = self.norm(x)
    y = nnx.relu(self.linear(x)) - x.mean(axis=-1, keepdims=True)
    y = self.other(y, use_running_average=not train)
    return x + self.conv(y)

class NotMigrated:
  def __call__(self, x):
    return nnx.relu(x)
'''


def test_every_kind_of_mistake_is_made_where_it_fits():
  edits = edits_of(SOURCE, frozenset({'Block'}))
  assert {edit.what for edit in edits} == {
    'relu dropped', 'self.norm not called', 'self.other not called', 'bias of Linear dropped',
    'bias of LayerNorm dropped', 'bias of BatchNorm dropped',
    'epsilon 1e-05 instead of 1e-06', 'momentum 0.81 instead of 0.9', 'epsilon 0.0001 in BatchNorm',
    'axis -2 instead of -1', "padding 'VALID' instead of 'SAME'", 'use_running_average inverted',
    'scale_init replaced', 'operands of - swapped', 'x not added'}
  assert len(KINDS) == 11 and all(kind.__doc__ for kind in KINDS)
  for edit in edits:
    broken = edit.applied(SOURCE)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(SOURCE))
    assert broken.splitlines()[:edit.line - 1] == SOURCE.splitlines()[:edit.line - 1]


def test_what_flax_calls_things_is_read_from_the_records():
  known = slips()
  assert {'relu', 'gelu', 'softmax'} <= known.activations and 'one_hot' not in known.activations
  assert {'Linear', 'Conv', 'ConvTranspose', 'MultiHeadAttention', 'LayerNorm'} <= known.with_bias
  assert 'RMSNorm' not in known.with_bias and known.defaults['RMSNorm'] == {'epsilon': pytest.approx(1e-5)}
  assert {'epsilon', 'momentum', 'rate', 'dropout_rate', 'stddev'} == set(known.numbers)
  assert {'deterministic', 'use_running_average', 'decode'} == known.flags


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
  linen, nnx = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  return write(linen, {'net.py': LINEN}), write(nnx, {'net.py': NNX})


def test_cases_without_training_miss_mistakes(roots):
  entry = manifest(net_entry('net'))
  text = (roots[1] / 'net.py').read_text()
  whole = mutate_checks([Case('net', 'net:Net', **CASE, gradients=False)], entry, *roots, 4)
  half = mutate_checks([Case('net', 'net:Net', **{**CASE, 'train': None, 'gradients': False})], entry, *roots, 100)
  assert whole.tried == whole.caught == 4 and half.tried > 10
  assert any('momentum' in survivor.what for survivor in half.survivors)
  assert (roots[1] / 'net.py').read_text() == text


def test_unequal_case_is_refused(roots, tmp_path):
  other = write(tmp_path, {'net.py': NNX.replace('momentum=0.9', 'momentum=0.99')})
  with pytest.raises(Failure, match='not proved equal as it is'):
    mutate_checks([Case('net', 'net:Net', **CASE)], manifest(net_entry('net')), roots[0], other, 3)
