"""Small things: constants, containers, and functions for which a helper is written."""

from __future__ import annotations

from rewrites.record import Example, Functions, Helper

MERGE_PARAM = Helper(
  'merge_param',
  '''\
def merge_param(name, a, b):
  """Returns the one of `a` and `b` that is not None.

  Raises:
    ValueError: both are None, or neither is.
  """
  if a is None and b is None:
    raise ValueError(f'{name} must be given to the constructor or at the call')
  if a is not None and b is not None:
    raise ValueError(f'{name} must not be given both to the constructor and at the call')
  return b if a is None else a
''',
  imports=(),
)

BATCH_APPLY = Helper(
  'BatchApply',
  '''\
class BatchApply:
  """Calls a function with the first `num_dims` axes of every array merged into one, and splits them again.

  Args:
    f: the function or module to call.
    num_dims: how many leading axes count as batch.
  """

  def __init__(self, f, num_dims=2):
    self.f = f
    self.num_dims = num_dims

  def __call__(self, *args, **kwargs):
    arrays = [leaf for leaf in jax.tree.leaves((args, kwargs)) if self._has_batch(leaf)]
    if not arrays:
      raise ValueError(f'no argument has {self.num_dims} axes to merge')
    leading = arrays[0].shape[:self.num_dims]
    args, kwargs = jax.tree.map(self._merged, (args, kwargs))
    return jax.tree.map(lambda x: x.reshape(leading + x.shape[1:]), self.f(*args, **kwargs))

  def _has_batch(self, leaf):
    return getattr(leaf, 'ndim', 0) >= self.num_dims

  def _merged(self, leaf):
    return leaf.reshape((-1, *leaf.shape[self.num_dims:])) if self._has_batch(leaf) else leaf
''',
  imports=('import jax',),
)

RECORD = Functions(
  names={
    'flax.linen.FrozenDict': 'flax.core.FrozenDict',
    'flax.linen.PARTITION_NAME': 'flax.nnx.PARTITION_NAME',
    'flax.linen.RNNCellBase': 'flax.nnx.RNNCellBase',
    'flax.linen.logical_axis_rules': 'flax.nnx.logical_axis_rules',
  },
  helpers={'flax.linen.merge_param': MERGE_PARAM, 'flax.linen.BatchApply': BATCH_APPLY},
  examples=(
    Example(
      'from flax import linen as nn\n\nempty = nn.FrozenDict({})\n',
      'from flax.core import FrozenDict\n\nempty = FrozenDict({})\n',
    ),
    Example('from flax.core import FrozenDict\n\nempty = FrozenDict({})\n', None),
  ),
)
