"""Extra inputs show what one ordinary batch does not, and only where the Linen model takes them."""
from __future__ import annotations

import numpy as np
import pytest
from check_pairs import entry, manifest, named, write
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.equivalence import Case
from migrator.equivalence.extra_inputs import KINDS, large, masked, one_nan, shorter
from migrator.equivalence.parts import CaseRun
from migrator.equivalence.process import WorkerProcess
from migrator.manifest import Branch, Leaf

LINEN = """
from flax import linen as nn
import jax.numpy as jnp


class Net(nn.Module):
  fixed: bool = False

  @nn.compact
  def __call__(self, x, mask):
    x = nn.Dense(4, name='inner')(jnp.where(mask[..., None], x, 0.0))
    if self.fixed:
      x = x + self.param('positions', nn.initializers.normal(), (6, 4))
    return nn.Dense(3, name='out')(x)
"""
NNX = """
from flax import nnx
import jax.numpy as jnp


class Net(nnx.Module):
  def __init__(self, fixed: bool = False, *, in_features: int, rngs: nnx.Rngs):
    self.fixed = fixed
    self.inner = nnx.Linear(in_features, 4, rngs=rngs)
    if fixed:
      self.positions = nnx.Param(nnx.initializers.normal()(rngs.params(), (6, 4)))
    self.out = nnx.Linear(4, 3, rngs=rngs)

  def __call__(self, x, mask):
    x = self.inner(jnp.where(mask[..., None], x, 0.0))
    if self.fixed:
      x = x + self.positions[...]
    return self.out(x)
"""
BEFORE = 'x = self.inner(jnp.where(mask[..., None], x, 0.0))'
# What is wrong in NNX, and the one kind of extra inputs that shows it; the case's own numbers are equal.
MISTAKES = {
  'not-a-number swallowed': ('jnp.where(mask[..., None]', 'jnp.where((mask & ~jnp.isnan(x).any(-1))[..., None]', 'one not-a-number'),
  'clipped': ('mask[..., None], x', 'mask[..., None], jnp.clip(x, -20, 20)', 'large inputs'),
  'mask read once': ('jnp.where(mask[..., None]', 'jnp.where((mask | ~mask.any(-1, keepdims=True) | ~mask[:, -1:])[..., None]', 'masked inputs'),
  'length written down': (BEFORE, f'{BEFORE}\n    x = x * (1.0 + (x.shape[1] != 6))', 'shorter inputs'),
  'length asked': (BEFORE, f'{BEFORE}\n    assert x.shape[1] == 6', 'shorter inputs'),
}
INPUTS = ('f32[3,6,5]', '=jnp.ones((3, 6), bool)')


@pytest.fixture(scope='module')
def sides(tmp_path_factory):
  linen, nnx = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  texts = {'right': NNX, **{name: NNX.replace(old, new) for name, (old, new, _) in MISTAKES.items()}}
  entries = []
  for k, text in enumerate(texts.values()):
    assert (text == NNX) is (k == 0)
    write(linen, {f'net_{k}.py': LINEN})
    write(nnx, {f'net_{k}.py': text})
    members = [named(name, name, 'flax.linen.Dense') for name in ('inner', 'out')]
    entries.append(entry(f'net_{k}:Net', *members, Branch(((Leaf('positions', 'params', ('positions',)),),)), fields=('fixed',)))
  with WorkerProcess('linen', linen) as one, WorkerProcess('nnx', nnx) as other:
    yield dict(zip(texts, range(len(texts)))), manifest(*entries), one, other


def parts_of(sides, name, **fields):
  numbers, known, one, other = sides
  case = Case(name, f'net_{numbers[name]}:Net', inputs=INPUTS, gradients=False, **fields)
  return {part.name: part for part in CaseRun(case, known, one, other, 300).result().parts}


def test_a_right_port_passes_for_all_of_them(sides):
  parts = parts_of(sides, 'right')
  assert {f'eval, {kind}' for kind in KINDS} <= set(parts)
  assert all(part.verdict == 'bitwise' for name, part in parts.items() if name.startswith('eval'))


@pytest.mark.parametrize('name', list(MISTAKES))
def test_each_kind_finds_a_mistake_that_the_others_do_not(sides, name):
  parts = parts_of(sides, name)
  bad = {part.name for part in parts.values() if part.verdict in ('differs', 'error')}
  assert bad == {f'eval, {MISTAKES[name][2]}'}, parts
  assert parts['eval'].verdict == 'bitwise'


def test_what_linen_refuses_is_not_asked(sides):
  assert 'eval, shorter inputs' not in parts_of(sides, 'right', arguments={'fixed': True})
  assert 'eval, large inputs' in parts_of(sides, 'right', arguments={'fixed': True})


def test_a_case_may_leave_them_out(sides):
  assert not [name for name in parts_of(sides, 'clipped', extra_inputs=False) if ',' in name]


SHAPES = st.lists(st.integers(1, 7), min_size=0, max_size=4)


@settings(deadline=None)
@given(SHAPES, st.sampled_from(['float32', 'int32', 'bool', 'complex64']))
def test_extra_inputs_keep_dtypes_and_say_when_nothing_changes(shape, dtype):
  array = np.ones(shape).astype(dtype)
  for kind, change in KINDS.items():
    made = change((array,))
    assert made is None or len(made) == 1 and made[0].dtype == array.dtype
    assert made is None or made[0].shape != array.shape or made[0].tobytes() != array.tobytes()
    assert made is None or kind == 'shorter inputs' or made[0].shape == array.shape


def test_lengths_are_cut_and_features_are_not():
  x, tokens, mask = np.zeros((2, 6, 6), np.float32), np.zeros((2, 6), np.int32), np.zeros((2, 1, 6, 6), bool)
  assert [array.shape for array in shorter((x, tokens))] == [(2, 3, 6), (2, 3)]
  assert shorter((tokens[:, :2],)) is None
  assert [array.shape for array in shorter((tokens, np.zeros((6,), np.float32)))] == [(2, 3), (6,)]
  assert [array.shape for array in shorter((x, mask))] == [(2, 3, 6), (2, 1, 3, 3)]
  assert [array.shape for array in shorter((np.zeros((2, 8, 8, 3), np.float32),))] == [(2, 4, 4, 3)]


def test_the_first_row_alone_gets_a_not_a_number():
  spoiled, = one_nan((np.zeros((3, 4), np.float32),))
  assert np.isnan(spoiled).sum() == 1 and np.isnan(spoiled[0]).any()
  half, = large((np.full((2,), 3.0, np.float16),))
  assert half.dtype == np.float16 and (half == 300).all()
  tokens, = masked((np.array([[5, 6, 7, 8]]),))
  assert tokens.tolist() == [[5, 6, 0, 0]]
