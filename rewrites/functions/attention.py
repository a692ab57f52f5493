"""Attention functions and masks: the same code in NNX; the fused product rounds in another order."""

from __future__ import annotations

from rewrites.attention_function import LINEN_ATTENTION
from rewrites.record import Example, Functions

RECORD = Functions(
  names={
    'flax.linen.make_attention_mask': 'flax.nnx.make_attention_mask',
    'flax.linen.make_causal_mask': 'flax.nnx.make_causal_mask',
    'flax.linen.combine_masks': 'flax.nnx.combine_masks',
    'flax.linen.dot_product_attention': 'flax.nnx.dot_product_attention',
    'flax.linen.dot_product_attention_weights': 'flax.nnx.nn.attention.dot_product_attention_weights',
  },
  exact={'flax.linen.dot_product_attention': LINEN_ATTENTION},
  notes='nnx.dot_product_attention takes no force_fp32_for_softmax and no einsum hooks; arguments up to '
  '`module` have the same names and order.',
  examples=(
    Example(
      'from flax import linen as nn\n\n\ndef mask(ids):\n  return nn.make_causal_mask(ids)\n',
      'from flax import nnx\n\n\ndef mask(ids):\n  return nnx.make_causal_mask(ids)\n',
    ),
    Example('from library import make_causal_mask\n\nmask = make_causal_mask\n', None),
  ),
)
