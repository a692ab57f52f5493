"""Functions of Linen that make parameters for the module they are given: the codemod writes their bodies out.

Each is given as Linen source that means the same; the result is migrated like the code around it.
"""

from __future__ import annotations

_NORMALIZE = '''\
import jax
import jax.numpy as jnp
from flax.linen.dtypes import canonicalize_dtype
from flax.linen.normalization import _canonicalize_axes


def _normalize(
  mdl, x, mean, var, reduction_axes, feature_axes, dtype, param_dtype, epsilon, use_bias, use_scale, bias_init,
  scale_init,
):
  reduction_axes = _canonicalize_axes(x.ndim, reduction_axes)
  feature_axes = _canonicalize_axes(x.ndim, feature_axes)
  param_shape = [x.shape[axis] for axis in feature_axes]
  broadcast_shape = [size if axis in feature_axes else 1 for axis, size in enumerate(x.shape)]
  y = x - jnp.expand_dims(mean, reduction_axes)
  mul = jax.lax.rsqrt(jnp.expand_dims(var, reduction_axes) + epsilon)
  arrays = [x]
  if use_scale:
    scale = mdl.param('scale', scale_init, param_shape, param_dtype).reshape(broadcast_shape)
    mul *= scale
    arrays.append(scale)
  y *= mul
  if use_bias:
    bias = mdl.param('bias', bias_init, param_shape, param_dtype).reshape(broadcast_shape)
    y += bias
    arrays.append(bias)
  return jnp.asarray(y, canonicalize_dtype(*arrays, dtype=dtype))
'''

# Qualified name -> the text of a file that defines it.
WRITTEN_OUT: dict[str, str] = {'flax.linen.normalization._normalize': _NORMALIZE}
