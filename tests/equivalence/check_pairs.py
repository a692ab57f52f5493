"""Hand-written pairs as two source trees with the same module names, and their manifests."""
from __future__ import annotations

from pathlib import Path

from migrator.manifest import ClassMap, Manifest, SizeArgument, Submodule

LINEN = """
from flax import linen as nn
print('the Linen module speaks')


class Net(nn.Module):
  features: int = 6

  @nn.compact
  def __call__(self, x, train: bool = False):
    print('called')
    x = nn.Conv(self.features, (3, 3))(x)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = nn.relu(x)
    x = nn.max_pool(x, (2, 2), strides=(2, 2)).mean((1, 2))
    x = nn.LayerNorm()(x)
    x = nn.Dropout(0.25, deterministic=not train)(x)
    x = nn.relu(nn.Dense(self.features, name='hidden')(x))
    x = nn.Dropout(0.25, deterministic=not train)(x)
    return nn.Dense(self.features, name='out')(x)
"""

NNX = """
from flax import nnx
import jax
print('the NNX module speaks')


class Net(nnx.Module):

  def __init__(self, features: int = 6, *, in_features: int, rngs: nnx.Rngs):
    self.conv = nnx.Conv(in_features, features, (3, 3), rngs=rngs)
    self.batch_norm = nnx.BatchNorm(features, momentum=0.9, rngs=rngs)
    self.layer_norm = nnx.LayerNorm(features, rngs=rngs)
    self.dropout1 = nnx.Dropout(0.25, rngs=rngs)
    self.hidden = nnx.Linear(features, features, rngs=rngs)
    self.dropout2 = nnx.Dropout(0.25, rngs=rngs)
    self.out = nnx.Linear(features, features, rngs=rngs)

  def __call__(self, x, train: bool = False):
    x = self.conv(x)
    x = self.batch_norm(x, use_running_average=not train)
    x = nnx.relu(x)
    x = nnx.max_pool(x, (2, 2), strides=(2, 2)).mean((1, 2))
    x = self.layer_norm(x)
    x = self.dropout1(x, deterministic=not train)
    x = nnx.relu(self.hidden(x))
    x = self.dropout2(x, deterministic=not train)
    return self.out(x)
"""

CASE = {'inputs': ['f32[4,8,8,3]'], 'eval': {'train': False}, 'train': {'train': True}, 'rngs': ['dropout'],
        'mutable': ['batch_stats']}


def auto(prefix: str, nnx: str) -> Submodule:
  return Submodule(None, prefix, tuple(nnx.split('/')), f'flax.linen.{prefix}')


def named(linen: str, nnx: str, cls: str) -> Submodule:
  return Submodule((linen,), None, tuple(nnx.split('/')), cls)


def entry(name: str, *members, size: str = 'x', fields: tuple[str, ...] = (), **more) -> ClassMap:
  """A class whose one size argument is the last axis of call argument `size`; '' for none."""
  sizes = (SizeArgument('in_features', '__call__', size),) if size else ()
  file = name.split(':')[0].replace('.', '/') + '.py'
  outcome = more.pop('outcome', 'native')
  return ClassMap(name, file, 1, outcome, fields, arguments=sizes, members=members, **more)


def net_entry(module: str, hidden: str = 'hidden', out: str = 'out') -> ClassMap:
  return entry(
    f'{module}:Net', auto('Conv', 'conv'), auto('BatchNorm', 'batch_norm'), auto('LayerNorm', 'layer_norm'),
    auto('Dropout', 'dropout1'), named('hidden', hidden, 'flax.linen.Dense'), auto('Dropout', 'dropout2'),
    named('out', out, 'flax.linen.Dense'), fields=('features',))


def manifest(*entries: ClassMap) -> Manifest:
  return Manifest({item.name: item for item in entries})


def write(root: Path, files: dict[str, str]) -> Path:
  for name, text in files.items():
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding='utf-8')
  return root
