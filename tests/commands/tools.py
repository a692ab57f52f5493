"""A repository of small models with a training script, and ways to migrate and run it as a user would."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

# Weights that depend on their shape alone: the same numbers come out whatever the names of the weights are.
INIT = '''\
import jax.numpy as jnp
import numpy as np


def waves(key, shape, dtype=jnp.float32):
  """Initial weights without chance."""
  return jnp.sin(1.0 + jnp.arange(np.prod(shape), dtype=dtype)).reshape(shape)
'''
MLP = '''\
from flax import linen as nn
from zoo.init import waves


class Mlp(nn.Module):
  hidden: int

  @nn.compact
  def __call__(self, x):
    width = x.shape[-1]
    x = nn.relu(nn.Dense(self.hidden, kernel_init=waves)(x))
    return nn.Dense(width, kernel_init=waves)(x)
'''
BLOCK = '''\
from flax import linen as nn
from zoo.mlp import Mlp


class Block(nn.Module):
  hidden: int = 4

  @nn.compact
  def __call__(self, x):
    return x + Mlp(self.hidden)(nn.LayerNorm()(x))
'''
MODEL = '''\
from flax import linen as nn
from zoo.block import Block
from zoo.init import waves


class Model(nn.Module):
  depth: int = 2

  @nn.compact
  def __call__(self, x):
    for _ in range(self.depth):
      x = Block()(x)
    return nn.Dense(3, kernel_init=waves)(x)
'''
TRAIN = '''\
import sys

import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState

from zoo.model import Model

model = Model()
x = jnp.cos(jnp.arange(40.0)).reshape(8, 5)
y = jnp.arange(8) % 3
variables = model.init(jax.random.key(0), x)
state = TrainState.create(apply_fn=model.apply, params=variables['params'], tx=optax.sgd(0.1))


@jax.jit
def step(state):
  def loss(params):
    return optax.softmax_cross_entropy_with_integer_labels(state.apply_fn({'params': params}, x), y).mean()

  value, gradient = jax.value_and_grad(loss)(state.params)
  return state.apply_gradients(grads=gradient), value


for _ in range(4):
  state, value = step(state)
  print(f'{float(value):.5f}')
'''
REPOSITORY = {
  'pyproject.toml': '[project]\nname = "zoo"\n', 'zoo/__init__.py': '', 'zoo/init.py': INIT, 'zoo/mlp.py': MLP,
  'zoo/block.py': BLOCK, 'zoo/model.py': MODEL, 'train.py': TRAIN,
}


def written(folder: Path, files: dict[str, str]) -> Path:
  """Writes files, as they are, and returns their folder."""
  for name, text in files.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode())
  return folder


def repository(folder: Path, **changed: str) -> Path:
  """Writes the repository, with other texts for some files: `zoo__mlp='...'`."""
  texts = {name.replace('__', '/') + '.py': text for name, text in changed.items()}
  return written(folder, {**REPOSITORY, **texts})


def linen2nnx(*words: Any) -> tuple[int, str]:
  """Runs the command line in this process; returns the exit code and all that was printed."""
  from migrator.cli import group

  done = CliRunner().invoke(group, [str(word) for word in words], standalone_mode=False)
  if done.exception is not None and not isinstance(done.exception, SystemExit):
    raise done.exception
  return int(done.return_value or 0), done.output


def ran(folder: Path, *words: str, check: bool = True) -> str:
  """Runs a script of a repository in a process of its own; returns what it prints."""
  environment = {**os.environ, 'PYTHONPATH': str(folder), 'JAX_PLATFORMS': 'cpu'}
  done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True,
                        check=False)
  assert not check or done.returncode == 0, done.stderr[-3000:]
  return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
  """Returns every file below a folder, without caches and git."""
  return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob('*'))
          if path.is_file() and not {'.git', '__pycache__'} & set(path.parts)}
