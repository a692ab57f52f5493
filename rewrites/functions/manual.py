"""Layers and module features of Linen without a rewrite, with what to do instead."""

from __future__ import annotations

from rewrites.record import Manual

_FP8 = (
  'NNX has no fp8 operators; their scales need an optimizer step that overwrites them with their gradients'
)
_SCOPE = 'NNX modules have no scopes'

RECORD = Manual(
  {
    'flax.linen.WeightNorm': (
      'nnx.WeightNorm overwrites the stored kernel at every call, so training differs; '
      'write a module that normalizes a copy'
    ),
    'flax.linen.SpectralNorm': (
      'nnx.SpectralNorm overwrites the stored kernel at every call, so training differs; '
      'write a module that normalizes a copy'
    ),
    'flax.linen.Fp8DirectDotGeneralOp': _FP8,
    'flax.linen.Fp8DotGeneral': _FP8,
    'flax.linen.Fp8DotGeneralOp': _FP8,
    'flax.linen.Fp8Einsum': _FP8,
    'flax.linen.NANOOFp8DotGeneralOp': _FP8,
    'flax.linen.DenyList': 'NNX has no mutable filters; use a function filter, such as nnx.Not(nnx.Param)',
    'flax.linen.Variable': 'an nnx.Variable has its collection as a class; make a subclass of it',
    'flax.linen.apply': 'NNX modules hold their variables: call the object itself',
    'flax.linen.init': 'NNX makes variables in the constructor: build the object with rngs=nnx.Rngs(...)',
    'flax.linen.init_with_output': 'NNX makes variables in the constructor: build the object, call it',
    'flax.linen.tabulate': 'nnx.tabulate takes the module object and its inputs, no random key',
    'flax.linen.intercept_methods': 'NNX has no interceptors; subclass the layer, or use nnx.capture',
    'flax.linen.share_scope': f'{_SCOPE} to share: keep the child as an attribute, rename its weights',
    'flax.linen.compact_name_scope': f'{_SCOPE}; make the submodules of the method their own module',
  }
)
