"""Sizes that nothing in the source tells: asked for by the constructor, read off the weights or the call."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from migrator.manifest import Manifest
from tests.codemod.bridge_repository import imported, migrated_tree, renamed, written_tree
from tests.end_to_end.programs import FOLDER

TEXTS = {'left': 'v[1.0, 2.0, 3.0]', 'right': 'v[0.5, -1.0]'}
USE = """
import jax
import net


def make():
  return net.Pair(6, 'v[1.0, 2.0, 3.0]', 'v[0.5, -1.0]')


def run(x):
  model = make()
  variables = model.init(jax.random.key(0), x)
  return variables, model.apply(variables, x)
"""
LOOP = """
from flax import linen as nn
import jax.numpy as jnp
import json


def read_table(text):
  rows = {}
  while text:
    name, _, text = text.partition(';')
    rows[name[0]] = json.loads(name[1:])
  return jnp.asarray(rows['v'])


class Net(nn.Module):
  tables: tuple

  @nn.compact
  def __call__(self, x):
    for table in self.tables:
      x = x + nn.Dense(3)(read_table(table))
    return x
"""


@pytest.fixture(scope='module')
def repository(tmp_path_factory):
  text = (FOLDER / 'asked_sizes' / 'linen.py').read_text()
  source = written_tree(tmp_path_factory.mktemp('asked') / 'linen', {'net.py': text, 'use.py': USE})
  root, result = migrated_tree(source, source.parent / 'nnx')
  return source, root, result


def test_arguments_of_the_constructors(repository):
  entry = repository[2].manifest.classes['net:Pair']
  rows = [(item.name, item.asked, item.optional) for item in entry.arguments]
  assert rows == [
    ('in_features', False, False),
    ('first_gate_in_features', True, False),
    ('second_gate_in_features', True, True),
  ]
  assert Manifest.from_json(repository[2].manifest.to_json()) == repository[2].manifest


def test_read_off_the_weights(repository):
  from flax import nnx

  from migrator.weights.asked_sizes import asked_sizes
  from migrator.weights.convert_state import load

  source, root, result = repository
  x = jax.random.normal(jax.random.key(1), (2, 4))
  with imported(source, 'net') as before:
    linen = before.Pair(6, **TEXTS)
    variables = linen.init(jax.random.key(0), x)
    expected = linen.apply(variables, x)
    alone = before.Pair(6, **TEXTS, both=False).init(jax.random.key(0), x)
  with imported(root, 'net') as after:
    build = lambda **more: after.Pair(6, **TEXTS, in_features=4, rngs=nnx.Rngs(0), **more)
    sizes = asked_sizes(build, variables, result.manifest, 'net:Pair')
    assert sizes == {'first_gate_in_features': 3, 'second_gate_in_features': 2}
    model = build(**sizes)
    load(model, variables, result.manifest, 'net:Pair')
    np.testing.assert_array_equal(model(x), expected)
    one = lambda **more: build(both=False, **more)
    found = asked_sizes(one, alone, result.manifest, 'net:Pair')
    assert found == {'first_gate_in_features': 3, 'second_gate_in_features': None}


def test_the_linen_face_sees_them_at_the_call(repository):
  source, root, _ = repository
  x = jax.random.normal(jax.random.key(1), (2, 4))
  with imported(source, 'use') as before:
    variables, expected = before.run(x)
  names = {'Dense_0': 'linear1', 'Dense_1': 'linear2', 'LayerNorm_0': 'layer_norm'}
  with imported(root, 'use') as after:
    made, _ = after.run(x)
    assert made['params']['second']['gate']['kernel'].shape == (2, 6)
    given = renamed(variables, names)
    head = given['params']['head']
    given['params']['head'] = {'layers': {'0': head['layers_0'], '2': head['layers_2']}}
    np.testing.assert_allclose(after.make().apply(given, x), expected, rtol=1e-6)


def test_one_argument_does_not_do_for_a_loop(tmp_path):
  source = written_tree(tmp_path / 'linen', {'net.py': LOOP})
  _, result = migrated_tree(source, tmp_path / 'nnx')
  (report,) = result.classes
  assert report.outcome == 'left'
  assert 'not known' in report.reasons[0]
