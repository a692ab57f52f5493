"""Layers applied with weights that belong to another layer: `nn.Dense(...).apply({'params': {...}}, x)`."""

from __future__ import annotations

import dataclasses

from rewrites.record import Helper

LINEAR_WITH = Helper(
  'linear_with',
  '''\
def linear_with(inputs, kernel, bias=None, *, dtype=None, precision=None):
  """Applies a linear layer whose weights belong to another layer.

  Args:
    inputs: (..., in features).
    kernel: (in features, out features); bias: (out features,) or None.
    dtype: dtype of the computation; None for the one the arrays have together.

  Returns:
    (..., out features).
  """
  if dtype is None:
    dtype = jnp.result_type(*(array for array in (inputs, kernel, bias) if array is not None))
    if not jnp.issubdtype(dtype, jnp.inexact):
      dtype = jnp.promote_types(jnp.float32, dtype)
  inputs, kernel = jnp.asarray(inputs, dtype), jnp.asarray(kernel, dtype)
  contracted = (((inputs.ndim - 1,), (0,)), ((), ()))
  outputs = jax.lax.dot_general(inputs, kernel, contracted, precision=precision)
  if bias is not None:
    outputs += jnp.reshape(jnp.asarray(bias, dtype), (1,) * (outputs.ndim - 1) + (-1,))
  return outputs
''',
  ('import jax', 'import jax.numpy as jnp'),
)


@dataclasses.dataclass(frozen=True)
class GivenWeights:
  """How a Linen layer is applied with given weights.

  helper: the function that computes it; weights: its parameters, in order, that are Linen parameters.
  kept: constructor arguments the function takes by the same name; ignored: those that only make weights.
  optional: weights that exist unless a flag of the constructor says otherwise: weight -> flag.
  """

  helper: Helper
  weights: tuple[str, ...]
  kept: tuple[str, ...]
  ignored: tuple[str, ...]
  optional: dict[str, str]


GIVEN_WEIGHTS = {
  'flax.linen.Dense': GivenWeights(
    LINEAR_WITH,
    ('kernel', 'bias'),
    ('dtype', 'precision'),
    ('features', 'use_bias', 'param_dtype', 'kernel_init', 'bias_init', 'name'),
    {'bias': 'use_bias'},
  ),
}
