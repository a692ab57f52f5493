"""Lifted transforms: nn.remat of a class has a helper, the others are named with the NNX form to write by hand."""

from __future__ import annotations

from rewrites.record import Example, Functions, Helper, Manual

_MODULE = 'NNX transforms functions that take the module'

_ROWS = Manual(
  {
    'flax.linen.scan': 'NNX scans a stacked module: stack with nnx.split_rngs and nnx.vmap, run nnx.scan',
    'flax.linen.vmap': f'{_MODULE}: stack it with nnx.split_rngs and nnx.vmap, run nnx.vmap',
    'flax.linen.jit': f'{_MODULE}: decorate the method, or a function of it, with nnx.jit',
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

REMAT = Helper(
  'remat',
  '''\
def remat(module_class, prevent_cse=True, static_argnums=(), policy=None):
  """Returns a subclass whose `__call__` is rematerialised: activations are computed again in the backward pass.

  Args:
    module_class: the nnx.Module class.
    prevent_cse, policy: as in `jax.checkpoint`.
    static_argnums: positions of static arguments of `__call__`; 0 is the module itself.
  """

  class Remat(module_class):
    __call__ = nnx.remat(
        module_class.__call__, prevent_cse=prevent_cse, static_argnums=static_argnums, policy=policy)

  Remat.__name__ = Remat.__qualname__ = f'Remat{module_class.__name__}'
  return Remat
''',
  imports=('from flax import nnx',),
)

_REMAT_NAMES = ('flax.linen.remat', 'flax.linen.checkpoint', 'flax.linen.partitioning.remat')

_REMAT = Functions(
  names={},
  helpers=dict.fromkeys(_REMAT_NAMES, REMAT),
  examples=(Example('import jax\n\nsquare = jax.remat(lambda x: x * x)\n', None),),
)

RECORDS = (_ROWS, _REMAT)
