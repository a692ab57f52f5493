"""Functions of `flax.linen.normalization` that repositories use to write normalizations of their own."""

from __future__ import annotations

from rewrites.record import Example, Functions, Helper

CANONICALIZE_AXES = Helper(
  'canonicalize_axes',
  '''\
def canonicalize_axes(rank, axes):
  """Returns axes of an array as a tuple of numbers from 0 on, each once."""
  axes = tuple(axes) if hasattr(axes, '__iter__') else (axes,)
  return tuple({axis % rank for axis in axes})
''',
  imports=(),
)

COMPUTE_STATS = Helper(
  'compute_stats',
  '''\
def compute_stats(
  x, axes, dtype, axis_name=None, axis_index_groups=None, use_mean=True, use_fast_variance=True, mask=None,
  force_float32_reductions=True,
):
  """Returns the mean and the variance of `x` along `axes`, in float32 at least.

  Args:
    x: the array; axes: the axes to reduce; dtype: the dtype to compute in, None for that of `x`.
    axis_name, axis_index_groups: the axis of a transform that devices share, and its groups.
    use_mean: False takes the mean for zero; use_fast_variance: computes E[x^2] - E[x]^2.
    mask: where values count; force_float32_reductions: computes half precision in float32.
  """
  dtype = jnp.result_type(x) if dtype is None else dtype
  dtype = jnp.promote_types(dtype, jnp.float32) if force_float32_reductions else dtype
  x = jnp.asarray(x, dtype)
  where = None if mask is None else jnp.asarray(mask, dtype=bool)

  def square(array):
    real = not jnp.iscomplexobj(array)
    return jax.lax.square(array) if real else jax.lax.square(array.real) + jax.lax.square(array.imag)

  def means(*arrays):
    found = [array.mean(axes, where=where) for array in arrays]
    if axis_name is None:
      return found
    if len(found) == 1:
      return [jax.lax.pmean(found[0], axis_name, axis_index_groups=axis_index_groups)]
    return list(jax.lax.pmean(jnp.stack(found), axis_name, axis_index_groups=axis_index_groups))

  if not use_mean:
    var, = means(square(x))
    return jnp.zeros_like(var), var
  if use_fast_variance:
    mean, mean_of_squares = means(x, square(x))
    return mean, jnp.maximum(0.0, mean_of_squares - square(mean))
  mean, = means(x)
  var, = means(square(x - jnp.expand_dims(mean, axes)))
  return mean, var
''',
  imports=('import jax', 'import jax.numpy as jnp'),
)

RECORD = Functions(
  helpers={
    'flax.linen.normalization._canonicalize_axes': CANONICALIZE_AXES,
    'flax.linen.normalization._compute_stats': COMPUTE_STATS,
  },
  examples=(
    Example('from library import _canonicalize_axes\n\naxes = _canonicalize_axes\n', None),
  ),
)
