"""Activation functions: the same objects under `flax.nnx`."""

from __future__ import annotations

from rewrites.record import Example, Functions

_SAME = (
  'celu',
  'elu',
  'gelu',
  'glu',
  'hard_sigmoid',
  'hard_silu',
  'hard_swish',
  'hard_tanh',
  'leaky_relu',
  'log_sigmoid',
  'log_softmax',
  'logsumexp',
  'one_hot',
  'relu',
  'relu6',
  'selu',
  'sigmoid',
  'silu',
  'soft_sign',
  'softmax',
  'softplus',
  'standardize',
  'swish',
  'tanh',
)

# The rest of them changes the shape or is no activation.
_NO_ACTIVATIONS = ('logsumexp', 'one_hot', 'standardize')

RECORD = Functions(
  names={
    **{f'flax.linen.{name}': f'flax.nnx.{name}' for name in _SAME},
    'flax.linen.normalize': 'flax.nnx.standardize',
  },
  forgettable=tuple(name for name in _SAME if name not in _NO_ACTIVATIONS),
  examples=(
    Example('from flax import linen as nn\n\nact = nn.relu\n', 'from flax import nnx\n\nact = nnx.relu\n'),
    Example('import jax\n\nact = jax.nn.relu\n', None),
  ),
)
