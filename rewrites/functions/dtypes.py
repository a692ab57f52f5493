"""Dtype promotion: NNX's takes one tuple, so the variadic form becomes a helper."""

from __future__ import annotations

from rewrites.record import Example, Functions, Helper

PROMOTE_DTYPE = Helper(
  'promote_dtype',
  '''\
def promote_dtype(*arrays, dtype=None, inexact=True):
  """Returns the arrays cast to `dtype`, or to their common one; None stays None.

  Args:
    arrays: arrays of any shape, or None.
    dtype: the dtype wanted; None infers it.
    inexact: whether the result has to be a floating or complex dtype.
  """
  return list(nnx.nn.dtypes.promote_dtype(arrays, dtype=dtype, inexact=inexact))
''',
  imports=('from flax import nnx',),
)

RECORD = Functions(
  names={'flax.linen.dtypes.canonicalize_dtype': 'flax.nnx.nn.dtypes.canonicalize_dtype'},
  helpers={'flax.linen.dtypes.promote_dtype': PROMOTE_DTYPE},
  examples=(
    Example(
      'from flax.linen.dtypes import canonicalize_dtype\n\n\ndef common(x, y):\n'
      '  return canonicalize_dtype(x, y)\n',
      'from flax.nnx.nn.dtypes import canonicalize_dtype\n\n\ndef common(x, y):\n'
      '  return canonicalize_dtype(x, y)\n',
    ),
    Example('from library import canonicalize_dtype\n\ncommon = canonicalize_dtype\n', None),
  ),
)
