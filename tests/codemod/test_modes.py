"""`--mode module`: which flags go, which stay and why, and how the text is edited."""

from __future__ import annotations

import ast
import textwrap

import jax
import numpy as np
import pytest

from tests.codemod.bridge_repository import imported, migrated_tree, written_tree

HEAD = 'from functools import partial\nfrom typing import Any\nfrom flax import linen as nn\nimport jax\nimport jax.numpy as jnp\n\n\n'
DROP = '''
class Drop(nn.Module):

  @nn.compact
  def __call__(self, x, train: bool = False):
    return nn.Dropout(0.5, deterministic=not train)(x)
'''


@pytest.fixture
def follow(tmp_path):
  """A function of source text: (new text, {class.flag: reason it stays})."""
  def run(*parts):
    source = written_tree(tmp_path / 'linen', {'net.py': HEAD + '\n\n'.join(textwrap.dedent(part).strip('\n') for part in parts) + '\n'})
    root, result = migrated_tree(source, tmp_path / 'nnx', 'module')
    text = (root / 'net.py').read_text()
    run.messages = [finding.message for finding in result.findings]
    ast.parse(text)
    assert all(report.outcome in ('native', 'helper') for report in result.classes), [
      (report.name, report.reasons) for report in result.classes]
    words = [finding.message.split(': ', 2) for finding in result.findings if ' stays a' in finding.message]
    return text, {f'{name}.{rest.split()[0]}': why for name, rest, why in words}

  return run


def test_a_flag_that_every_call_hands_on_goes(follow):
  text, stays = follow(DROP, '''
  class Net(nn.Module):

    @nn.compact
    def __call__(self, x, train):
      return Drop()(nn.Dense(3)(x), train=train)
  ''')
  assert 'return self.drop(self.linear(x))' in text and 'def __call__(self, x):' in text
  assert not stays and 'train' not in text


@pytest.mark.parametrize('call, why', [
  ('Drop()(x, True)', 'Net.__call__ gives it True'),
  ('Drop()(x)', 'Net.__call__ calls self.drop(x) without it'),
  ('Drop()(x, train=train and self.noisy)', 'Net.__call__ gives it train and self.noisy'),
  ('Drop()(*(x, train))', 'Net.__call__ gives arguments with * or **: self.drop(*(x, train))'),
  ('Drop()(x, **dict(train=train))', 'Net.__call__ gives arguments with * or **: self.drop(x, **dict(train=train))'),
  ('jax.checkpoint(Drop())(x, train)', None),
])
def test_a_flag_that_a_call_decides_stays(follow, call, why):
  text, stays = follow(DROP, f'''
  class Net(nn.Module):
    noisy: bool = True

    @nn.compact
    def __call__(self, x, train: bool):
      return {call}
  ''')
  assert 'def __call__(self, x, train: bool = False):' in text
  assert 'self.dropout(x, deterministic=not train)' in text
  assert 'Drop.train' in stays and (why is None or stays['Drop.train'] == why), stays


def test_a_flag_that_means_the_opposite_stays(follow):
  text, stays = follow('''
  class Net(nn.Module):

    @nn.compact
    def __call__(self, x, train: bool):
      return nn.Dropout(0.5)(nn.Dense(2)(x), deterministic=train)
  ''')
  assert 'deterministic=train' in text
  assert stays == {'Net.train': 'it means training in one place and evaluation in another'}


def test_flags_that_decide_the_same_layers_stay(follow):
  text, stays = follow('''
  class Net(nn.Module):

    @nn.compact
    def __call__(self, x, train: bool, deterministic: bool):
      x = nn.Dropout(0.5)(x, deterministic=not train)
      return nn.Dropout(0.5)(x, deterministic=deterministic)
  ''')
  assert 'def __call__(self, x, train: bool, deterministic: bool):' in text
  assert set(stays) == {'Net.train', 'Net.deterministic'}


def test_what_may_be_none_stays(follow):
  _, stays = follow('''
  class Net(nn.Module):
    rate: float = 0.5

    @nn.compact
    def __call__(self, x, train=None):
      train = self.rate > 0 if train is None else train
      return nn.Dropout(self.rate)(x, deterministic=not train)
  ''')
  assert stays == {'Net.train': 'it may be None'}


def test_a_stored_flag_is_read_from_the_mode_first(follow):
  text, stays = follow('''
  class Net(nn.Module):
    rate: float = 0.5

    @nn.compact
    def __call__(self, x, train: bool = True):
      """Runs it."""
      # Without a rate there is no training.
      train = train and self.rate > 0
      return nn.Dropout(self.rate)(x, deterministic=not train)
  ''')
  assert not stays
  assert ('    """Runs it."""\n    train = not self.deterministic\n    # Without a rate there is no training.\n'
          '    train = train and self.rate > 0\n    return self.dropout(x, deterministic=not train)') in text


def test_a_class_of_a_field_follows_if_all_that_may_be_given_do(follow):
  other = DROP.replace('Drop(', 'Keep(').replace('0.5', '0.1')
  text, stays = follow(DROP, other, '''
  class Net(nn.Module):
    block: Any = Drop

    @nn.compact
    def __call__(self, x, train: bool):
      return self.block()(x, train)


  class Both(nn.Module):

    @nn.compact
    def __call__(self, x, train: bool):
      return Net(Keep)(Net()(x, train), train)
  ''')
  assert not stays
  assert 'train' not in text


def test_a_bound_method_that_is_handed_on_keeps_its_flag(follow):
  text, stays = follow('''
  class Net(nn.Module):

    def setup(self):
      self.drop = nn.Dropout(0.5)

    def step(self, x, train: bool):
      return self.drop(x, deterministic=not train)

    def __call__(self, x, train: bool):
      return self.step(x, train) + jax.checkpoint(self.step, static_argnums=1)(x, train)
  ''')
  assert 'def step(self, x, train: bool):' in text
  assert 'self.step(x, not self.deterministic)' in text
  assert set(stays) == {'Net.train'}


def test_long_calls_and_signatures_close_up(follow):
  text, _ = follow('''
  class Net(nn.Module):

    @nn.compact
    def __call__(
        self,
        x,
        *,
        train: bool,
    ):
      x = nn.Dense(4, name='a_name_that_makes_this_line_longer')(x)
      return nn.Dropout(0.5, name='another_name_that_makes_this_line_longer')(
          x,  # what comes in
          deterministic=not train,  # quiet
      )
  ''')
  assert '  def __call__(self, x):' in text
  assert '# what comes in' in text and '# quiet' in text


def test_fields_that_would_hide_methods_of_modules_are_renamed(follow):
  text, stays = follow('''
  class Net(nn.Module):
    train: bool = False

    @nn.compact
    def __call__(self, x):
      return nn.Dropout(0.5, deterministic=not self.train)(nn.Dense(2)(x))


  class Pair(nn.Module):

    @nn.compact
    def __call__(self, x):
      return Net(train=True)(x) - Net(train=False)(x)
  ''')
  assert 'self.train_ = train' in text
  assert 'deterministic=not self.train_' in text
  assert set(stays) == {'Net.train'}


TRAINING = '''
import jax
from net import Net

def run(x, **flags):
  model = Net()
  variables = model.init(jax.random.key(0), x, False)
  return model.apply(variables, x, rngs={'dropout': jax.random.key(1)}, **flags)

def positional(x):
  model = Net()
  return model.apply(model.init(jax.random.key(0), x), x, True, 3.0, rngs={'dropout': jax.random.key(1)})

def method(x):
  model = Net()
  return model.apply(model.init(jax.random.key(0), x), x, method=Net.noise, train=True, rngs={'dropout': jax.random.key(1)})
'''


def test_linen_code_sets_the_mode_by_its_flags(tmp_path):
  """Through `with_flags`: by name, by position, by default, and for another method."""
  net = HEAD + textwrap.dedent('''
  class Net(nn.Module):

    def setup(self):
      self.drop = nn.Dropout(0.5)

    def noise(self, x, train: bool):
      return self.drop(x, deterministic=not train)

    def __call__(self, x, train: bool = False, scale=2.0):
      return scale * self.noise(x, train)
  ''')
  root, _ = migrated_tree(written_tree(tmp_path / 'linen', {'net.py': net, 'use.py': TRAINING}), tmp_path / 'nnx', 'module')
  assert 'with_flags(' in (root / 'use.py').read_text()
  x = jax.numpy.ones((4, 8))
  with imported(root, 'use') as use:
    np.testing.assert_array_equal(use.run(x), 2 * x)
    np.testing.assert_array_equal(use.run(x, train=False), 2 * x)
    noisy = np.asarray(use.run(x, train=True))
    assert set(np.unique(noisy)) == {0.0, 4.0}
    assert set(np.unique(use.positional(x))) == {0.0, 6.0}
    assert set(np.unique(use.method(x))) == {0.0, 2.0}


def test_the_readme_shows_what_comes_out(follow):
  from pathlib import Path

  readme = (Path(__file__).resolve().parents[2] / 'README.md').read_text()
  before, after = readme.split('### Train flags')[1].split('```python\n')[1:3]
  text, stays = follow(before.split('```')[0])
  assert after.split('```')[0] in text and not stays


def test_what_defeats_the_tool_keeps_its_flags_and_is_told(follow, monkeypatch):
  from migrator.codemod.modes import follow as module

  def fails(*_):
    raise RuntimeError('an oddity')

  monkeypatch.setattr(module, '_report', fails)
  monkeypatch.delenv('LINEN2NNX_DEBUG', raising=False)
  text, _ = follow(DROP)
  assert any('the tool failed on the train flags (RuntimeError: an oddity)' in message for message in follow.messages)
  assert 'def __call__(self, x, train: bool = False):' in text and 'deterministic=not train' in text


def test_attributes_that_the_author_sets_are_renamed_too(follow):
  text, _ = follow('''
  class Net(nn.Module):
    rate: float = 0.5

    def setup(self):
      self.deterministic = self.rate == 0
      self.drop = nn.Dropout(self.rate, deterministic=self.deterministic)

    @staticmethod
    def name():
      return 'net'

    def __call__(self, x):
      return x if self.deterministic else self.drop(x)
  ''')
  assert 'self.deterministic_ = rate == 0' in text
  assert 'return x if self.deterministic_ else self.drop(x, deterministic=self.deterministic_)' in text
