"""The three Linen attention layers -> nnx.MultiHeadAttention.

Weights and masks are the same.  Without dropout NNX hands the product to `jax.nn.dot_product_attention`,
which rounds in another order; `linen_attention` as `attention_fn` gives Linen's bits back.
"""

from __future__ import annotations

from typing import Any

from rewrites.adapters import KNOWN_KEYWORDS, PLAIN_PROMOTE, WITHOUT_OUT_SHARDING
from rewrites.attention_function import LINEN_ATTENTION
from rewrites.defaults import (
  BIAS_INIT,
  KERNEL_INIT,
  NO_CLASS_FACTORY,
  PRECISION,
  USE_BIAS,
  dtypes,
  gone,
  same,
)
from rewrites.facts import half_or_unknown, last_of
from rewrites.programs import one_layer, other_library
from rewrites.record import Argument, CallArgument, Facts, Layer, NotDerivable, Sample, Size, Source, Unknown

_IN_FEATURES = Size('in_features', last_of('inputs_q'), keyword=True)


def _in_kv_features(facts: Facts) -> Any:
  """The features of keys and values when they are not those of the queries."""
  given = [facts.shapes[name][-1] for name in ('inputs_kv', 'inputs_k', 'inputs_v') if name in facts.shapes]
  if not given:
    return None
  if any(size != given[0] for size in given):
    raise NotDerivable(
      f'keys and values have different features ({given[0]} and {given[-1]}); NNX has one size for both'
    )
  return None if 'inputs_q' in facts.shapes and given[0] == facts.shapes['inputs_q'][-1] else given[0]


def _default_function(facts: Facts) -> bool:
  return 'attention_fn' not in facts.arguments


def _normalized_in_half(facts: Facts) -> bool:
  flag = facts.arguments.get('normalize_qk', False)
  return (isinstance(flag, Unknown) or bool(flag)) and half_or_unknown(facts)


def _operator(name: str) -> Argument:
  return same(
    name, None, wrap=WITHOUT_OUT_SHARDING, unsupported=f'NNX calls {name} with an extra keyword, out_sharding'
  )


_ARGUMENTS = (
  same('num_heads'),
  *dtypes(),
  same('qkv_features', None),
  same('out_features', None),
  same('broadcast_dropout', True),
  same('dropout_rate', 0.0, slip=0.5),
  same('deterministic', None, on_call='deterministic'),
  PRECISION,
  KERNEL_INIT,
  same('out_kernel_init', None),
  BIAS_INIT,
  same('out_bias_init', None),
  USE_BIAS,
  same(
    'attention_fn',
    Source('flax.nnx.dot_product_attention'),
    wrap=KNOWN_KEYWORDS,
    unsupported='NNX passes every keyword to attention_fn, Linen only those it takes',
    linen_spelled=Source('flax.linen.dot_product_attention'),
  ),
  Argument('decode', 'decode', False, None, on_call='decode'),
  same('normalize_qk', False),
  gone(
    'force_fp32_for_softmax',
    False,
    'NNX has no such switch (its softmax runs in float32 unless dropout is used)',
  ),
  _operator('qkv_dot_general'),
  _operator('out_dot_general'),
  gone('qkv_dot_general_cls', None, NO_CLASS_FACTORY),
  gone('out_dot_general_cls', None, NO_CLASS_FACTORY),
  gone(
    'qk_attn_weights_einsum_cls', None, 'NNX has no hook for the einsum of the weights; write an attention_fn'
  ),
  gone(
    'attn_weights_value_einsum_cls',
    None,
    'NNX has no hook for the einsum of the values; write an attention_fn',
  ),
)

# NNX takes an Rngs or a stream here, where Linen takes one key.
_NO_KEY = CallArgument('dropout_rng', None)

_COMMON: dict[str, Any] = {
  'nnx': 'flax.nnx.MultiHeadAttention',
  'member': 'attention',
  'arguments': tuple(
    Argument(
      **{**vars(argument), 'keyword': argument.nnx not in ('num_heads', 'qkv_features', 'out_features')}
    )
    for argument in _ARGUMENTS
  ),
  'added': {'decode': 'False'},
  'reorder': True,
  'collections': ('params', 'cache'),
  'exact_helper': {'attention_fn': LINEN_ATTENTION, 'ln_promote_dtype': PLAIN_PROMOTE},
  'exact_when': lambda facts: _default_function(facts) or _normalized_in_half(facts),
  'exact_each': {'attention_fn': _default_function, 'ln_promote_dtype': _normalized_in_half},
  'numerics': 'rounding',
  'notes': 'A decoding layer needs `init_cache(input_shape)` before its first step.  With dropout_rate > 0 '
  'the constructor takes a dropout stream even if it never drops.',
}

_CROSS_CALL = (
  CallArgument('inputs_q', 'inputs_q'),
  CallArgument('inputs_k', 'inputs_k'),
  CallArgument('inputs_v', 'inputs_v'),
  CallArgument('inputs_kv', 'inputs_k'),
  CallArgument('mask', 'mask', keyword=True),
  CallArgument('deterministic', 'deterministic', keyword=True),
  _NO_KEY,
  CallArgument('sow_weights', 'sow_weights', keyword=True),
)
_SELF_CALL = (
  CallArgument('inputs_q', 'inputs_q'),
  CallArgument('mask', 'mask', keyword=True),
  CallArgument('deterministic', 'deterministic', keyword=True),
  _NO_KEY,
  CallArgument('sow_weights', 'sow_weights', keyword=True),
)

_SELF_INPUT, _KEYS = 'normal(2, 5, 12)', 'normal(2, 7, 10, seed=2)'
_CAUSAL = 'mask=nn.make_causal_mask(jnp.ones((2, 5)))'
_EXACT = 'attention_fn=linen_attention'


def _sample(
  linen: str,
  options: str = '',
  nnx_options: str = '',
  inputs: tuple[str, ...] = (_SELF_INPUT,),
  call: str = '',
  nnx_call: str | None = None,
  tolerance: float = 5e-6,
) -> Sample:
  """Bits when `nnx_options` hold the exact helper, else within `tolerance`."""
  parts = ('num_heads=2', 'in_features=12', options, nnx_options, 'decode=False', 'rngs=rngs')
  exact = _EXACT in nnx_options
  return Sample(
    f'nn.{linen}(num_heads=2{", " if options else ""}{options})',
    f'nnx.MultiHeadAttention({", ".join(part for part in parts if part)})',
    inputs,
    call,
    call if nnx_call is None else nnx_call,
    exact=exact,
    tolerance=0.0 if exact else tolerance,
  )


def _cross(*args: Any, **kwargs: Any) -> Sample:
  return _sample('MultiHeadDotProductAttention', *args, **kwargs)


_DECODE = Sample(
  'nn.MultiHeadDotProductAttention(num_heads=2, decode=True)',
  f'nnx.MultiHeadAttention(num_heads=2, in_features=12, decode=True, {_EXACT}, rngs=rngs)',
  ('normal(2, 1, 12)',),
  collections=('cache',),
  gradient=False,
  prepare='module.init_cache((2, 6, 12))',
  linen_init=('normal(2, 6, 12)',),
)

RECORDS = (
  Layer(
    linen=('flax.linen.MultiHeadDotProductAttention', 'flax.linen.MultiHeadAttention'),
    sizes=(_IN_FEATURES, Size('in_kv_features', _in_kv_features, keyword=True)),
    call=_CROSS_CALL,
    examples=(
      one_layer(
        'nn.MultiHeadDotProductAttention(num_heads=2)',
        'nnx.MultiHeadAttention(num_heads=2, in_features=in_features, decode=False, rngs=rngs)',
        'attention',
        given='x, x',
      ),
      other_library('MultiHeadAttention'),
    ),
    samples=(
      _cross(),
      _cross('', _EXACT),
      _cross('qkv_features=16, out_features=9', _EXACT),
      _cross('use_bias=False', _EXACT, call=_CAUSAL),
      _cross('normalize_qk=True', _EXACT),
      _cross('normalize_qk=True, dtype=jnp.bfloat16', f'{_EXACT}, ln_promote_dtype=plain_promote'),
      _cross('dtype=jnp.bfloat16', _EXACT),
      _cross('', f'{_EXACT}, in_kv_features=10', (_SELF_INPUT, _KEYS)),
      _cross('', f'{_EXACT}, in_kv_features=10', call=f'inputs_kv={_KEYS}', nnx_call=f'inputs_k={_KEYS}'),
      _cross('', 'in_kv_features=10', (_SELF_INPUT, _KEYS, 'normal(2, 7, 10, seed=4)')),
      _cross('dropout_rate=0.3', _EXACT, call='deterministic=True'),
      _sample('MultiHeadAttention', call=_CAUSAL),
      _DECODE,
    ),
    **_COMMON,
  ),
  Layer(
    linen=('flax.linen.SelfAttention',),
    sizes=(_IN_FEATURES,),
    call=_SELF_CALL,
    examples=(
      one_layer(
        'nn.SelfAttention(num_heads=2)',
        'nnx.MultiHeadAttention(num_heads=2, in_features=in_features, decode=False, rngs=rngs)',
        'attention',
        call='x, mask',
        given='x, mask',
        given_after='x, mask=mask',
      ),
      other_library('SelfAttention'),
    ),
    samples=(_sample('SelfAttention', call=_CAUSAL), _sample('SelfAttention', '', _EXACT, call=_CAUSAL)),
    **_COMMON,
  ),
)
