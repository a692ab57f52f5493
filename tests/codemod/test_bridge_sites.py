"""Which mentions of a class that became NNX are put behind the helper."""

from __future__ import annotations

import textwrap

import jax
import numpy as np
import pytest

from tests.codemod.bridge_repository import (
  FOLDER,
  imported,
  migrated_tree,
  outcomes,
  renamed,
  written_tree,
)

NET = """
from flax import linen as nn


class Net(nn.Module):
  width: int = 3

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.width)(x)

  def scale(self, x):
    return 2 * x

  @staticmethod
  def default():
    return 3
"""
MARKER = '# TODO(linen2nnx): '
FACE = "as_linen(Net, in_features=('x', -1))"


def migrate_use(tmp_path, use, net=NET):
  """Returns the migrated text of a file that uses `Net`, and the result."""
  source = written_tree(tmp_path / 'linen', {'net.py': net, 'use.py': textwrap.dedent(use)})
  root, result = migrated_tree(source, tmp_path / 'nnx')
  return (root / 'use.py').read_text(), result


@pytest.mark.parametrize(
  'before, after',
  [
    ('model = Net(width=2)', f'model = {FACE}(width=2)'),
    ('from functools import partial\nmake = [partial(Net, width=2)]', f'partial({FACE}, width=2)'),
    ('def f(cls=Net):\n  return cls()', f'def f(cls={FACE}):'),
    ('ok = isinstance(1, Net)', f'isinstance(1, {FACE})'),
    ('method = Net.scale', f'method = {FACE}.scale'),
    ('import net\nmodel = net.Net()', "model = as_linen(net.Net, in_features=('x', -1))()"),
    (
      'from functools import partial\nWide = partial(Net, width=9)\nmodel = Wide()',
      "model = as_linen(Wide, in_features=('x', -1))()",
    ),
    ('Other = Net\nmodel = Other()', "model = as_linen(Other, in_features=('x', -1))()"),
  ],
)
def test_put_behind_the_helper(tmp_path, before, after):
  text, result = migrate_use(tmp_path, f'from net import Net\n{before}\n')
  assert after in text
  assert text.count(MARKER) == 1
  assert [finding.line for finding in result.findings if finding.code == 'bridged-call-site'] == [
    before.count('\n') + 2
  ] or 'def f' in before
  compile(text, 'use.py', 'exec')


@pytest.mark.parametrize(
  'use', ['def f(net: Net) -> Net: ...', 'number = Net.default()', 'Other = Net', 'net: Net | None = None']
)
def test_left_alone(tmp_path, use):
  text, result = migrate_use(tmp_path, f'from net import Net\n{use}\n')
  assert text == f'from net import Net\n{use}\n'
  assert not [finding for finding in result.findings if finding.code == 'bridged-call-site']


def test_one_marker_for_a_statement_of_many_lines(tmp_path):
  text, _ = migrate_use(
    tmp_path,
    """
      from net import Net

      def models():
        return [
            Net(1),
            Net(2),
        ]
  """,
  )
  assert text.count(MARKER) == 1
  assert f'  {MARKER}Net is NNX now, used here as Linen\n  return [' in text


def test_a_class_looked_up_by_name_stays_linen(tmp_path):
  text, result = migrate_use(tmp_path, 'import net\ndef make(name):\n  return getattr(net, name)()\n')
  assert outcomes(result) == {'Net': 'left'}
  assert any('use.py:3' in finding.message for finding in result.findings)
  assert MARKER not in text


def test_a_class_given_a_module_from_outside_calls_it(tmp_path):
  net = NET.replace('  width: int = 3\n', '  width: int = 3\n  inner: nn.Module = None\n').replace(
    'return nn.Dense(self.width)(x)',
    'return nn.Dense(self.width)(x if self.inner is None else self.inner(x))',
  )
  _, result = migrate_use(
    tmp_path, 'from flax import linen as nn\nfrom net import Net\nmodel = Net(3, nn.Dense(2))\n', net
  )
  assert outcomes(result) == {'Net': 'native'}
  x = jax.random.normal(jax.random.key(1), (2, 5))
  with imported(tmp_path / 'linen', 'use') as before:
    variables = before.model.init(jax.random.key(0), x)
    expected = before.model.apply(variables, x)
  with imported(tmp_path / 'nnx', 'use') as after:
    made = after.model.init(jax.random.key(0), x)
    assert jax.tree.map(np.shape, made) == jax.tree.map(np.shape, renamed(variables, {'Dense_0': 'linear'}))
    np.testing.assert_array_equal(after.model.apply(renamed(variables, {'Dense_0': 'linear'}), x), expected)


@pytest.mark.parametrize('name', ['down', 'up', 'training'])
def test_a_second_run_changes_nothing(tmp_path, name):
  from migrator.codemod import migrate

  root, _ = migrated_tree(FOLDER / name, tmp_path / 'repository')
  assert migrate([root], root).files == []


FLATTENED = """
from flax import linen as nn


class Head(nn.Module):
  width: int

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.width)(x)


class Net(nn.Module):
  strides: tuple

  @nn.compact
  def __call__(self, x):
    hidden = x
    for stride in self.strides:
      hidden = nn.Conv(4, (3, 3), strides=stride)(hidden)
    hidden = hidden.reshape(x.shape[0], -1)
    return {head}(3)(hidden)
"""


@pytest.mark.parametrize('head', ['Head', 'make'])
def test_what_uses_nnx_as_linen_stays_linen_in_a_second_run(tmp_path, head):
  from migrator.codemod import migrate

  text = FLATTENED.replace('{head}', head) + '\n\ndef make(width):\n  return Head(width)\n' * (head == 'make')
  source = written_tree(tmp_path / 'linen', {'net.py': text})
  root, result = migrated_tree(source, tmp_path / 'nnx')
  assert [row.outcome for row in result.classes] == ['native', 'left']
  assert 'as_linen(' in (root / 'net.py').read_text()
  again = migrate([root], root)
  assert again.files == []
  (row,) = again.classes
  assert 'it uses a class that is NNX now as a Linen class (line ' in row.reasons[0]


def test_linen_faces_in_functions_of_other_files_are_seen(tmp_path):
  from pathlib import Path

  from migrator.codemod.linen_faces import uses_linen_face
  from migrator.source.project import read_project

  net = FLATTENED.replace('{head}', 'Head')
  made = 'from helpers import as_linen\nfrom flax import linen as nn\n\n\ndef make(width):\n  return as_linen(nn.Dense)(width)\n'
  written_tree(tmp_path / 'linen', {'made.py': made, 'net.py': net.replace('Head(3)', 'made.make(3)').replace(
    'from flax', 'import made\nfrom flax', 1)})
  root = Path(tmp_path / 'linen')
  project = read_project([root], root)
  assert uses_linen_face(project.classes['net:Net'], project.part(['net'])) == 6
  assert uses_linen_face(project.classes['net:Head'], project) is None


def test_packages_import_the_helper_of_the_class(tmp_path):
  source = written_tree(
    tmp_path / 'linen',
    {
      'zoo/__init__.py': '',
      'zoo/net.py': NET,
      'examples/train.py': 'from zoo.net import Net\nmodel = Net()\n',
    },
  )
  root, _ = migrated_tree(source, tmp_path / 'nnx')
  assert 'from zoo.nnx_helpers import as_linen\n' in (root / 'examples' / 'train.py').read_text()
  assert (root / 'zoo' / 'nnx_helpers.py').exists() and not (root / 'examples' / 'nnx_helpers.py').exists()
