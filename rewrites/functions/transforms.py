"""Lifted transforms: no rewrite yet, each with the NNX form to write by hand."""

from __future__ import annotations

from rewrites.record import Manual

_MODULE = 'NNX transforms functions that take the module'

RECORD = Manual(
  {
    'flax.linen.scan': 'NNX scans a stacked module: stack with nnx.split_rngs and nnx.vmap, run nnx.scan',
    'flax.linen.vmap': f'{_MODULE}: stack it with nnx.split_rngs and nnx.vmap, run nnx.vmap',
    'flax.linen.jit': f'{_MODULE}: decorate the method, or a function of it, with nnx.jit',
    'flax.linen.remat': f'{_MODULE}: decorate the method, or a function of it, with nnx.remat',
    'flax.linen.checkpoint': f'{_MODULE}: decorate the method, or a function of it, with nnx.remat',
    'flax.linen.remat_scan': 'NNX has none: stack the layers with nnx.vmap and nest nnx.scan of nnx.remat',
    'flax.linen.map_variables': 'NNX has no map_variables: nnx.split, change the state, nnx.merge, call',
    'flax.linen.add_metadata_axis': 'nnx.vmap takes transform_metadata={nnx.PARTITION_NAME: name} for it',
    'flax.linen.cond': 'nnx.cond takes the module as an operand, Linen passes it first to both branches',
    'flax.linen.switch': 'nnx.switch takes the module as an operand, Linen passes it first to every branch',
    'flax.linen.while_loop': 'nnx.while_loop carries the module in the loop value, Linen beside it',
    'flax.linen.grad': 'nnx.grad differentiates its first argument, the module; choose with nnx.DiffState',
    'flax.linen.value_and_grad': (
      'nnx.value_and_grad differentiates the module it is given; choose the variables with nnx.DiffState'
    ),
    'flax.linen.jvp': 'nnx.jvp takes the module among the primals and needs graph_updates=False',
    'flax.linen.vjp': 'nnx.vjp takes the module among the primals and needs graph_updates=False',
    'flax.linen.custom_vjp': 'in nnx.custom_vjp the backward function returns an nnx.State for the module',
    'flax.linen.fold_rngs': 'NNX has no fold_rngs: streams of nnx.Rngs are forked or split',
    'flax.linen.broadcast': 'a marker for nn.scan; nnx.scan says None in in_axes',
    'flax.linen.named_call': 'NNX has no switch for scope names; use jax.named_scope around the call',
    'flax.linen.disable_named_call': 'NNX has no switch for scope names; remove the call',
    'flax.linen.enable_named_call': 'NNX has no switch for scope names; remove the call',
    'flax.linen.override_named_call': 'NNX has no switch for scope names; remove the context',
  }
)
