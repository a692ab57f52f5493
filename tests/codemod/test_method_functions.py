"""Functions that a Linen model is given as `method=` get NNX modules: what they do with them as Linen is told."""
from __future__ import annotations

import subprocess
import sys

from tests.codemod.bridge_repository import migrated_tree, written_tree

NET = '''
from flax import linen as nn


class Net(nn.Module):
  def setup(self):
    self.shared = nn.Embed(7, 4)
    self.head = nn.Dense(7, use_bias=False)

  def __call__(self, ids):
    return self.head(self.shared(ids))
'''
USE = '''
import jax
import jax.numpy as jnp
import net

IDS = jnp.array([[1, 2]])


def tied(params):
  def head(module, ids):
    hidden = module.shared(ids)
    kernel = module.shared.variables['params']['embedding']
    return module.head.apply({'params': {'kernel': kernel.T}}, hidden)

  return net.Net().apply({'params': params}, IDS, method=head)


def plain(params):
  def head(module, ids):
    return module.head(module.shared(ids))

  return net.Net().apply({'params': params}, IDS, method=head)
'''


def test_the_lines_are_named_with_what_to_write(tmp_path):
  source = written_tree(tmp_path / 'linen', {'net.py': NET, 'use.py': USE})
  _, result = migrated_tree(source, tmp_path / 'nnx')
  found = [finding for finding in result.findings if finding.code == 'linen-method']
  assert [(finding.file, finding.line) for finding in found] == [('use.py', 12), ('use.py', 13)]
  assert 'such as module.shared.embedding[...]' in found[0].message
  assert 'has no apply' in found[1].message


def test_the_command_prints_them(tmp_path):
  source = written_tree(tmp_path / 'linen', {'net.py': NET, 'use.py': USE})
  done = subprocess.run([sys.executable, '-m', 'migrator', 'migrate', str(source)], capture_output=True, text=True)
  assert done.returncode == 1
  assert 'linen-method' in done.stdout + done.stderr
