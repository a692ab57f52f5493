"""Default values and argument rows that several layers share."""

from __future__ import annotations

from typing import Any

from rewrites.adapters import TUPLE_PROMOTE_DTYPE, WITHOUT_OUT_SHARDING
from rewrites.record import Argument, Source

FLOAT32 = Source('jax.numpy.float32')
LECUN_NORMAL = Source('flax.nnx.initializers.lecun_normal()')
ORTHOGONAL = Source('flax.nnx.initializers.orthogonal()')
ZEROS = Source('flax.nnx.initializers.zeros_init()')
ONES = Source('flax.nnx.initializers.ones_init()')
SIGMOID = Source('flax.nnx.sigmoid')
TANH = Source('flax.nnx.tanh')

NO_CLASS_FACTORY = 'NNX takes a function here, not a class that makes one at each call'


def same(linen: str, *default: Any, nnx: str | None = None, **more: Any) -> Argument:
  """Returns an argument with one default (or none) for both sides; one name too unless `nnx` is given."""
  return Argument(linen, nnx or linen, *(default * 2), **more)


def gone(linen: str, default: Any, reason: str | None) -> Argument:
  """Returns an argument that NNX does not have; without a reason another argument says it."""
  return Argument(linen, None, default, unsupported=reason)


def dtypes() -> tuple[Argument, Argument]:
  """Returns the rows `dtype` and `param_dtype`."""
  return same('dtype', None), same('param_dtype', FLOAT32)


PRECISION = same('precision', None)
KERNEL_INIT = same('kernel_init', LECUN_NORMAL)
BIAS_INIT = same('bias_init', ZEROS)
SCALE_INIT = same('scale_init', ONES)
USE_BIAS = same('use_bias', True)
USE_SCALE = same('use_scale', True)
FAST_VARIANCE = same('use_fast_variance', True)

PROMOTE_DTYPE = same(
  'promote_dtype',
  Source('flax.nnx.nn.dtypes.promote_dtype'),
  unsupported='NNX calls promote_dtype with one tuple, Linen with the arrays one by one',
  wrap=TUPLE_PROMOTE_DTYPE,
  linen_spelled=Source('flax.linen.dtypes.promote_dtype'),
)


def out_sharding(linen: str, nnx_spelled: Source, nnx: str | None = None) -> Argument:
  """Returns a row for a function (default None in Linen) that NNX calls with an extra `out_sharding=`."""
  return Argument(
    linen,
    nnx or linen,
    None,
    None,
    nnx_spelled=nnx_spelled,
    wrap=WITHOUT_OUT_SHARDING,
    unsupported=f'NNX calls {linen} with an extra keyword, out_sharding',
  )


DOT_GENERAL = out_sharding('dot_general', Source('jax.lax.dot_general'))
DOT_GENERAL_CLS = gone('dot_general_cls', None, NO_CLASS_FACTORY)

FORCE_FLOAT32 = gone(
  'force_float32_reductions', True, 'NNX always computes the statistics in at least float32'
)
