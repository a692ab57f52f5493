"""Partitioning annotations: NNX places them on the variables when they are made, and wants a mesh then."""

from __future__ import annotations

from rewrites.record import Manual

_MADE = 'NNX annotates variables when they are made and needs a mesh (jax.set_mesh) then'
_BOX = 'NNX has no boxes around parameters: the names are metadata of the nnx.Variable (out_sharding)'
_RULES = 'NNX resolves logical names when a variable is made; use nnx.logical_axis_rules'

RECORD = Manual(
  {
    'flax.linen.with_partitioning': f'{_MADE}; use nnx.with_partitioning',
    'flax.linen.with_logical_partitioning': f'{_MADE}; nnx.with_partitioning takes the names',
    'flax.linen.with_logical_constraint': 'NNX has none; use jax.lax.with_sharding_constraint',
    'flax.linen.Partitioned': _BOX,
    'flax.linen.LogicallyPartitioned': _BOX,
    'flax.linen.unbox': _BOX,
    'flax.linen.get_partition_spec': 'nnx.get_partition_spec takes an nnx.State, not a tree of boxes',
    'flax.linen.get_sharding': 'NNX has none; combine nnx.get_partition_spec with jax.sharding.NamedSharding',
    'flax.linen.logical_to_mesh': _RULES,
    'flax.linen.logical_to_mesh_axes': _RULES,
    'flax.linen.logical_to_mesh_sharding': _RULES,
    'flax.linen.get_logical_axis_rules': _RULES,
    'flax.linen.set_logical_axis_rules': _RULES,
  }
)
