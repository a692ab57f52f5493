"""The helper with Linen's order of operations for attention, passed to NNX as `attention_fn`."""

from __future__ import annotations

from rewrites.record import Helper

LINEN_ATTENTION = Helper(
  'linen_attention',
  '''\
def linen_attention(
    query, key, value, bias=None, mask=None, broadcast_dropout=True, dropout_rng=None, dropout_rate=0.0,
    deterministic=False, dtype=None, precision=None, module=None, force_fp32_for_softmax=False, *,
    is_causal=False):
  """Dot-product attention that rounds where flax.linen did.

  The scaled query, the scores and the softmax are in `dtype`, and the weights are an explicit array;
  nnx.dot_product_attention leaves all that to jax.nn.dot_product_attention.

  Args:
    query: (batch..., query length, heads, depth).
    key, value: (batch..., key length, heads, depth).
    bias, mask: broadcastable to (batch..., heads, query length, key length).
    module: the nnx.Module that sows the weights as 'attention_weights', if any.

  Returns:
    (batch..., query length, heads, depth).
  """
  common = dtype or jnp.result_type(query, key, value)
  query, key, value = (jnp.asarray(array, common) for array in (query, key, value))
  query = query / jnp.sqrt(query.shape[-1]).astype(common)
  weights = jnp.einsum('...qhd,...khd->...hqk', query, key, precision=precision)
  if bias is not None:
    weights = weights + bias
  if is_causal:
    causal = jnp.tril(jnp.ones(weights.shape[-2:], bool))
    mask = causal if mask is None else jnp.logical_and(mask, causal)
  if mask is not None:
    weights = jnp.where(mask, weights, jnp.finfo(common).min)
  if force_fp32_for_softmax and common != jnp.float32:
    weights = jax.nn.softmax(weights.astype(jnp.float32))
  else:
    weights = jax.nn.softmax(weights).astype(common)
  if module is not None:
    module.sow(nnx.Intermediate, 'attention_weights', weights)
  if not deterministic and dropout_rate > 0.0:
    shape = (1,) * (weights.ndim - 2) + weights.shape[-2:] if broadcast_dropout else weights.shape
    keep = jax.random.bernoulli(dropout_rng, 1.0 - dropout_rate, shape)
    weights = weights * (keep.astype(common) / jnp.asarray(1.0 - dropout_rate, common))
  return jnp.einsum('...hqk,...khd->...qhd', weights, value, precision=precision)
''',
  imports=('from flax import nnx', 'import jax', 'import jax.numpy as jnp'),
)
