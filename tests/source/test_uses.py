"""Nothing that means Linen is overlooked, and nothing else is taken for it."""
from __future__ import annotations

from tests.source.repository import project

TEXT = '''from flax import linen as nn
import jax, flax.linen
from common import lib

def shadowed(nn): return nn.Dense(3)
def local(): return nn.Dense(nn.relu)
def quoted(x: 'nn.Module', y: "list[lib.Conv]") -> 'nn.Embed': return 'nn.Dense'
é = [nn.tanh for nn in range(3)] + [(lambda nn: nn.x)(1)]; z = nn.gelu
class Net(nn.Module):
  field: 'nn.Dropout' = nn.Dense(1)
  def f(self): return self.nn.Dense, flax.linen.initializers.normal().x
Dense = nn.Dense
Dense(3)
from flax.linen import *
scan(relu)
'''


def test_every_linen_use(tmp_path):
  found = project(tmp_path, {'net.py': TEXT, 'common.py': 'import flax.linen as lib\n'})
  uses = [(line, column, name.removeprefix('flax.linen'))
          for line, column, name in found.linen_uses(found.modules['net'])]
  assert uses == [
    (1, 0, ''), (2, 0, ''), (3, 0, ''), (6, 20, '.Dense'), (6, 29, '.relu'), (7, 14, '.Module'),
    (7, 30, '.Conv'), (7, 51, '.Embed'), (8, 63, '.gelu'), (9, 10, '.Module'), (10, 9, '.Dropout'),
    (10, 24, '.Dense'), (11, 37, '.initializers.normal'), (12, 8, '.Dense'), (13, 0, '.Dense'),
    (14, 0, ''), (15, 0, '.scan'),
    (15, 5, '.relu')]


def test_no_use_without_linen(tmp_path):
  found = project(tmp_path, {'net.py': 'from flax import nnx\nnn = nnx\nclass A(nn.Module): x = nn.Linear\n'})
  assert found.linen_uses(found.modules['net']) == []


def test_users_of_a_class(tmp_path):
  found = project(tmp_path, {
    'net.py': 'import flax.linen as nn\nclass Net(nn.Module): pass\nclass Other(nn.Module): pass\n',
    'alias.py': 'import net\nShort = net.Net\n', 'main.py': 'from alias import Short\nShort()\n',
    'partly.py': 'import net\nnet.Net.apply\n', 'bystander.py': 'from net import Other\nNet = 1\n'})
  assert found.users('net:Net') == ['alias', 'main', 'partly']
