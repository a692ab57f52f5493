"""The rules of --restructure against NumPy, and back to where it started."""
from __future__ import annotations

import numpy as np
import pytest
from trees import assert_equal

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Source, source
from migrator.checkpoints.operations.evaluate import evaluate
from migrator.checkpoints.restructure import restructured
from migrator.checkpoints.storage import raw


def leaves():
  """Arrays as they lie in some file, for the weights and a statistic of an optimizer."""
  random = np.random.default_rng(0)
  made = {}
  for top in (('model',), ('optimizer', 'mu')):
    for layer in range(11):
      made[*top, 'layers', str(layer), 'gru', 'ir', 'kernel', 'value'] = random.normal(size=(3, 4)).astype(np.float32)
      made[*top, 'layers', str(layer), 'gru', 'iz', 'kernel', 'value'] = random.normal(size=(3, 4)).astype(np.float32)
      made[*top, 'layers', str(layer), 'bias', 'value'] = random.normal(size=5).astype(np.float32)
    made[*top, 'out', 'kernel', 'value'] = random.normal(size=(4, 6)).astype(np.float32)
  return made


def sources(arrays):
  return {path: source(path, raw(array.shape, array.dtype, array.tobytes())) for path, array in arrays.items()}


def numpy(content):
  return {path: evaluate(value) for path, value in content.items()}


def stacked_by_numpy(arrays, axis):
  made, groups = {}, {}
  for path, array in arrays.items():
    if 'layers' in path:
      at = path.index('layers') + 1
      groups.setdefault((*path[:at], *path[at + 1:]), {})[int(path[at])] = array
    else:
      made[path] = array
  for path, found in groups.items():
    parts = [found[number] for number in range(len(found))]
    made[path] = np.stack(parts, min(axis, parts[0].ndim))
  return made


def assert_all_equal(found, wanted):
  assert found.keys() == wanted.keys()
  for path, array in wanted.items():
    assert_equal(found[path], array, path)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_a_stack_and_back(axis):
  arrays = leaves()
  content = sources(arrays)
  stack = restructured(content, [f'stack layers/{{}} layers {axis}'])
  assert_all_equal(numpy(stack), stacked_by_numpy(arrays, axis))
  back = restructured(stack, [f'unstack layers layers/{{}} {axis}'])
  assert {path: back[path] for path in content} == content and back.keys() == content.keys()


def test_gates_are_joined_and_split():
  arrays = leaves()
  content = sources(arrays)
  joined = restructured(content, ['concatenate gru/{ir,iz}/kernel gru/i/kernel -1'])
  top = ('model', 'layers', '10')
  value = evaluate(joined[*top, 'gru', 'i', 'kernel', 'value'])
  parts = [arrays[*top, 'gru', name, 'kernel', 'value'] for name in ('ir', 'iz')]
  assert_equal(value, np.concatenate(parts, -1))
  assert not any('ir' in path for path in joined)
  back = restructured(joined, ['split gru/i/kernel gru/{ir,iz}/kernel -1 4,4'])
  assert all(back[path] is content[path] for path in content) and len(back) == len(content)


def test_axes_and_shapes_of_what_a_pattern_names():
  arrays = leaves()
  made = restructured(sources(arrays), ['transpose layers/*/gru/*/kernel 1,0', 'reshape out/kernel 2,2,6'])
  for path, array in arrays.items():
    wanted = array.T if 'gru' in path else array.reshape(2, 2, 6) if 'out' in path else array
    assert_equal(evaluate(made[path]), wanted, path)
  back = restructured(made, ['reshape out/kernel 4,6', 'transpose gru/*/kernel 1,0'])
  assert all(isinstance(value, Source) for value in back.values())


@pytest.mark.parametrize('rule, match', [
  ('shuffle a b', 'is no rule'), ('', 'is no rule'), ('stack layers', 'write it like'), ('stack absent/{} a 0', 'fits no array'),
  ('stack layers/{}/bias out/kernel 0', 'there already'), ('transpose out/kernel 1,1', 'no order of axes'),
  ('transpose out/kernel x', 'write it like'), ('reshape out/kernel 5,5', 'cannot have the shape'),
  ('concatenate gru/{ir,no}/kernel gru/i/kernel 0', 'no are not there'),
  ('concatenate layers/{1,2}/bias a 4', 'no axis'), ('split out/kernel out/{a,b}/kernel -1 1,2', 'name the sizes'),
  ('unstack nothing a/{}', 'fits no array'), ('stack layers/{} layers/{} 0', 'write it like'),
])
def test_rules_that_are_refused(rule, match):
  with pytest.raises(CheckpointError, match=match):
    restructured(sources(leaves()), [rule])


def test_layers_with_a_gap_are_no_stack():
  content = {path: value for path, value in sources(leaves()).items() if '3' not in path}
  with pytest.raises(CheckpointError, match='needs all from 0 on'):
    restructured(content, ['stack layers/{} layers'])


def test_layers_of_other_shapes_are_no_stack():
  content = sources(leaves() | {('model', 'layers', '3', 'bias', 'value'): np.ones(6, np.float32)})
  with pytest.raises(CheckpointError, match=r'float32\[6\] cannot be stacked with float32\[5\].*layers/3/bias'):
    restructured(content, ['stack layers/{} layers'])
