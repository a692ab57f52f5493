"""The one spelling of each Flax name: where Flax defines a thing and where it publishes it.

`flax.linen.linear.Dense` and `flax.linen.Dense` are the same class; everything
after reading uses the short one.  The rows below are checked against the
installed Flax by a test, so that they cannot grow stale.
"""
from __future__ import annotations

_LINEN = {
  'activation': '''PReLU celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid
    log_softmax logsumexp normalize one_hot relu relu6 selu sigmoid silu soft_sign softmax softplus
    standardize swish tanh''',
  'attention': '''MultiHeadAttention MultiHeadDotProductAttention SelfAttention combine_masks
    dot_product_attention dot_product_attention_weights make_attention_mask make_causal_mask''',
  'batch_apply': 'BatchApply',
  'combinators': 'Sequential',
  'fp8_ops': 'Fp8DirectDotGeneralOp Fp8DotGeneral Fp8DotGeneralOp Fp8Einsum NANOOFp8DotGeneralOp',
  'initializers': 'ones ones_init zeros zeros_init',
  'linear': 'Conv ConvLocal ConvTranspose Dense DenseGeneral Einsum Embed',
  'module': '''Module Variable apply compact compact_name_scope disable_named_call enable_named_call init
    init_with_output intercept_methods merge_param nowrap override_named_call share_scope''',
  'normalization': 'BatchNorm GroupNorm InstanceNorm LayerNorm RMSNorm SpectralNorm WeightNorm',
  'pooling': 'avg_pool max_pool pool',
  'recurrent': '''Bidirectional ConvLSTMCell GRUCell LSTMCell MGUCell OptimizedLSTMCell RNN RNNCellBase
    SimpleCell''',
  'spmd': '''LogicallyPartitioned logical_to_mesh logical_to_mesh_axes logical_to_mesh_sharding
    with_logical_constraint with_logical_partitioning''',
  'stochastic': 'Dropout',
  'summary': 'tabulate',
  'transforms': '''add_metadata_axis checkpoint cond custom_vjp fold_rngs grad jit jvp map_variables
    named_call remat remat_scan scan switch value_and_grad vjp vmap while_loop''',
}
_LINEN_FROM_CORE = '''DenyList FrozenDict broadcast meta PARTITION_NAME Partitioned get_partition_spec
  get_sharding unbox with_partitioning get_logical_axis_rules logical_axis_rules set_logical_axis_rules'''
# Submodules people reach as attributes: `nn.initializers.normal`.
_LINEN_SUBMODULES = frozenset(_LINEN) | {'dtypes', 'kw_only_dataclasses', 'partitioning'}
_CORE = {
  'frozen_dict': 'FrozenDict copy freeze pop pretty_repr unfreeze',
}
# Classes published by flax.linen that are not modules.
_NOT_MODULES = frozenset({
  'BatchApply', 'DenyList', 'FrozenDict', 'LogicallyPartitioned', 'Partitioned', 'Variable'})

_PUBLISHED = {
  f'{package}.{submodule}.{name}': f'{package}.{name}'
  for package, rows in (('flax.linen', _LINEN), ('flax.core', _CORE))
  for submodule, names in rows.items()
  for name in names.split()
}
LINEN_EXPORTS = frozenset(
  name for names in (*_LINEN.values(), _LINEN_FROM_CORE) for name in names.split()) | _LINEN_SUBMODULES
MODULE_CLASSES = frozenset(
  f'flax.linen.{name}' for names in _LINEN.values() for name in names.split()
  if name[0].isupper() and name not in _NOT_MODULES)


def canonical(name: str) -> str:
  """Returns the published spelling of the dotted external name `name`; other names come back unchanged."""
  if not name.startswith('flax.'):
    return name
  parts = name.split('.')
  head = '.'.join(parts[:4])
  return '.'.join([_PUBLISHED.get(head, head), *parts[4:]])


def is_linen_name(name: str | None) -> bool:
  """Returns whether the resolved name is `flax.linen` or lies in it."""
  return name is not None and (name == 'flax.linen' or name.startswith('flax.linen.'))


def is_module_class(name: str | None) -> bool:
  """Returns whether the canonical name is `flax.linen.Module` or one of Flax's own Linen modules."""
  if name is None:
    return False
  return name in MODULE_CLASSES or name.startswith('flax.linen.experimental.')
