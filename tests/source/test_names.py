"""Every spelling of a name leads to the same thing."""
from __future__ import annotations

import ast

import pytest

from tests.source.repository import project


@pytest.mark.parametrize(('imports', 'text'), [
  ('import flax.linen as nn', 'nn.Dense'),
  ('from flax import linen as nn', 'nn.Dense'),
  ('from flax import linen', 'linen.Dense'),
  ('import flax', 'flax.linen.Dense'),
  ('import flax.linen', 'flax.linen.Dense'),
  ('import flax as f', 'f.linen.Dense'),
  ('from flax.linen import Dense', 'Dense'),
  ('from flax.linen import Dense as D', 'D'),
  ('from flax.linen import linear', 'linear.Dense'),
  ('from flax.linen.linear import Dense', 'Dense'),
  ('import flax.linen.linear as lin', 'lin.Dense'),
  ('from flax.linen import *', 'Dense'),
  ('import flax.linen as nn\nDense = nn.Dense', 'Dense'),
  ('import flax.linen as nn\nlib = nn\nDense, Other = lib.Dense, 3', 'Dense'),
  ('import flax.linen as nn\nKind: type = nn.Dense', 'Kind'),
  ('try:\n  import flax.linen as nn\nexcept ImportError:\n  nn = None', 'nn.Dense'),
  ('try:\n  from flax import linen as nn\nexcept ImportError:\n  import other as nn', 'nn.Dense'),
  ('nn = None\nif True:\n  import flax.linen as nn', 'nn.Dense'),
  ('from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import flax.linen as nn', 'nn.Dense'),
  ('import flax.linen as nn\nnn = nn', 'nn.Dense'),
])
def test_all_spellings_of_linen(tmp_path, imports, text):
  found = project(tmp_path, {'net.py': f'{imports}\n# flax\n'})
  assert found.resolve(found.modules['net'], text) == 'flax.linen.Dense'


@pytest.mark.parametrize(('line', 'text', 'name'), [
  ('import jax.numpy as jnp', 'jnp.reshape', 'jax.numpy.reshape'),
  ('from functools import partial', 'partial', 'functools.partial'),
  ('from typing import Any\nModuleDef = Any', 'ModuleDef', 'typing.Any'),
  ('', 'len', 'builtins.len'),
  ('', 'nowhere', None),
  ('', 'not a name', None),
  ('', None, None),
  ('import flax.linen as nn', 'nn.initializers.normal', 'flax.linen.initializers.normal'),
  ('import flax.linen as nn', 'nn.initializers.zeros_init', 'flax.linen.zeros_init'),
  ('from flax.core.frozen_dict import freeze', 'freeze', 'flax.core.freeze'),
  ('from jax.numpy import *', 'sum', None),
  ('def len(x): return 1', 'len', 'net:len'),
  ('SIZE = 3', 'SIZE', 'net:SIZE'),
  ('a = b\nb = a', 'a', 'net:b'),
  ('for i in x: pass', 'i', 'net:i'),
])
def test_other_names(tmp_path, line, text, name):
  found = project(tmp_path, {'net.py': f'{line}\n# flax\n'})
  assert found.resolve(found.modules['net'], text) == name


def test_both_ways_of_a_guarded_import_are_recorded(tmp_path):
  found = project(tmp_path, {'net.py': 'try:\n  import flax.linen as nn\nexcept ImportError:\n  nn = None\n'})
  binding = found.modules['net'].bindings['nn']
  assert binding.module == 'flax.linen'
  assert [other.kind for other in binding.others] == ['value']


PACKAGE = {
  'zoo/__init__.py': 'from .blocks import Block as PublicBlock\nfrom . import heads\nfrom .stars import *\n',
  'zoo/blocks.py': 'import flax.linen as nn\nclass Block(nn.Module):\n  class Inner: pass\n',
  'zoo/heads/__init__.py': 'from .head import head\n',
  'zoo/heads/head.py': 'from ..blocks import Block\ndef head(): pass\n# flax\n',
  'zoo/stars.py': '__all__ = ["Star"]\n__all__ += ["Other"]\nfrom flax import linen\n'
                  'class Star(linen.Module): pass\nclass Other: pass\nclass Hidden: pass\n',
}


@pytest.mark.parametrize(('line', 'text', 'name'), [
  ('import zoo', 'zoo.PublicBlock', 'zoo.blocks:Block'),
  ('import zoo', 'zoo.blocks.Block.Inner', 'zoo.blocks:Block.Inner'),
  ('import zoo', 'zoo.blocks', 'zoo.blocks'),
  ('import zoo.blocks as b', 'b.Block', 'zoo.blocks:Block'),
  ('from zoo import PublicBlock', 'PublicBlock', 'zoo.blocks:Block'),
  ('from zoo import heads', 'heads.head', 'zoo.heads.head:head'),
  ('from zoo.heads import head', 'head', 'zoo.heads.head:head'),
  ('from zoo.heads.head import Block', 'Block', 'zoo.blocks:Block'),
  ('from zoo import Star', 'Star', 'zoo.stars:Star'),
  ('from zoo import *', 'Other', 'zoo.stars:Other'),
  ('from zoo import *', 'Hidden', None),
  ('from zoo.stars import Hidden', 'Hidden', 'zoo.stars:Hidden'),
  ('from zoo import missing', 'missing', None),
])
def test_names_across_files(tmp_path, line, text, name):
  found = project(tmp_path, {**PACKAGE, 'main.py': f'{line}\n# flax\n'})
  assert found.resolve(found.modules['main'], text) == name


def test_src_layout_and_neighbour_imports(tmp_path):
  found = project(tmp_path, {
    'src/zoo/__init__.py': '', 'src/zoo/mlp.py': 'import flax.linen as nn\nclass MLP(nn.Module): pass\n',
    'tests/test_mlp.py': 'from zoo.mlp import MLP\n# flax\n',
    'examples/imagenet/models.py': 'import flax.linen as nn\nclass Net(nn.Module): pass\n',
    'examples/imagenet/train.py': 'import models\n# flax\n', 'examples/mnist/models.py': 'import flax\n'})
  assert found.resolve(found.modules['tests.test_mlp'], 'MLP') == 'src.zoo.mlp:MLP'
  train = found.modules['examples.imagenet.train']
  assert found.resolve(train, 'models.Net') == 'examples.imagenet.models:Net'


def test_a_file_called_like_a_library_is_not_taken_for_it(tmp_path):
  found = project(tmp_path, {'lib/optax.py': '', 'net.py': 'import optax, flax\n', 'flax.py': 'x = 1\n'})
  assert found.resolve(found.modules['net'], 'optax.adam') == 'optax.adam'
  assert found.resolve(found.modules['net'], 'flax.linen') == 'flax.linen'


def test_a_root_that_is_a_package_starts_every_name(tmp_path):
  root = tmp_path / 'zoo'
  found = project(root, {
    '__init__.py': '', 'a.py': 'import flax\nfrom zoo.b import C\n', 'b.py': 'class C: pass\n'})
  assert found.resolve(found.modules['zoo.a'], 'C') == 'zoo.b:C'
  assert found.modules['zoo.a'].relative == 'a.py'


SCOPES = '''
import flax.linen as nn
import jax

def shadowed(nn):
  return nn.Dense

def local():
  from flax.linen import relu as act
  Dense = nn.Dense
  size = 3
  def inner():
    return act
  return inner

def changed(flag):
  Dense = nn.Dense
  Dense = nn.Conv

def outer():
  global jax
  jax = jax

class Holder:
  kind = nn.Conv
  def method(self):
    return kind
'''


@pytest.mark.parametrize(('function', 'text', 'name'), [
  ('shadowed', 'nn.Dense', None),
  ('local', 'act', 'flax.linen.relu'),
  ('local', 'Dense', 'flax.linen.Dense'),
  ('local', 'size', None),
  ('local', 'inner', 'net:local.<locals>.inner'),
  ('inner', 'act', 'flax.linen.relu'),
  ('inner', 'nn.Conv', 'flax.linen.Conv'),
  ('changed', 'Dense', None),
  ('outer', 'jax.jit', 'jax.jit'),
  ('Holder', 'kind', 'flax.linen.Conv'),
  ('method', 'kind', None),
  ('method', 'self.x', None),
])
def test_scopes(tmp_path, function, text, name):
  found = project(tmp_path, {'net.py': SCOPES})
  module = found.modules['net']
  scope = next(node for node in ast.walk(module.tree) if getattr(node, 'name', None) == function)
  assert found.resolve(module, text, scope) == name


def test_cyclic_imports_end(tmp_path):
  found = project(tmp_path, {
    'a.py': 'import flax\nfrom b import X\nfrom b import Z\nfrom b import *\n',
    'b.py': 'from a import X\nfrom a import *\nZ = flax.linen.Dense\nfrom a import flax\n'})
  assert found.resolve(found.modules['a'], 'X') is None
  assert found.resolve(found.modules['a'], 'Z') == 'flax.linen.Dense'
