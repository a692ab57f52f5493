"""Renamed functions are the same objects, or give the same results; helpers do what Linen's function did."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from record_scope import normal, resolve, run_helper

from rewrites import registry
from rewrites.record import Functions

# Other objects under the same name, each with its own test below.
_OTHER_OBJECT = {
  'make_attention_mask',
  'make_causal_mask',
  'combine_masks',
  'dot_product_attention',
  'dot_product_attention_weights',
  'canonicalize_dtype',
  'zeros_init',
  'ones_init',
  'RNNCellBase',
}


@pytest.mark.parametrize('linen, native', registry.functions().items(), ids=list(registry.functions()))
def test_same_object(linen: str, native: str):
  if linen.rpartition('.')[2] in _OTHER_OBJECT:
    assert resolve(linen) is not resolve(native), 'it is the same object now; take it out of the list'
  else:
    assert resolve(linen) is resolve(native)


def equal(one: Any, other: Any) -> None:
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert np.asarray(a).dtype == np.asarray(b).dtype
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def native(linen: str) -> Any:
  return resolve(registry.functions()[linen])


@pytest.mark.parametrize('name', ['zeros_init', 'ones_init'])
def test_constant_initializers(name: str):
  for long in (f'flax.linen.{name}', f'flax.linen.initializers.{name}'):
    equal(resolve(long)()(None, (2, 3), jnp.bfloat16), native(long)()(None, (2, 3), jnp.bfloat16))


def test_masks():
  ids = jnp.array([[1, 2, 0], [3, 0, 0]]) > 0
  for name, args, options in (
    ('make_attention_mask', (ids, ids), {'extra_batch_dims': 1, 'dtype': bool}),
    ('make_attention_mask', (ids, ids, jnp.logical_and), {}),
    ('make_causal_mask', (ids,), {'extra_batch_dims': 1, 'dtype': jnp.bfloat16}),
    ('combine_masks', (ids, None, ~ids), {'dtype': bool}),
    ('combine_masks', (None,), {}),
  ):
    equal(getattr(nn, name)(*args, **options), native(f'flax.linen.{name}')(*args, **options))


def attention_inputs() -> tuple[jax.Array, ...]:
  return (
    normal(2, 5, 2, 8),
    normal(2, 7, 2, 8, seed=2),
    normal(2, 7, 2, 8, seed=3),
    normal(2, 2, 5, 7, seed=4),
  )


_ATTENTION_OPTIONS = [
  {},
  {'mask': normal(2, 1, 5, 7) > -1},
  {'dtype': jnp.bfloat16},
  {'dtype': jnp.bfloat16, 'force_fp32_for_softmax': True},
  {'dropout_rate': 0.3, 'dropout_rng': jax.random.key(1)},
  {'dropout_rate': 0.3, 'dropout_rng': jax.random.key(1), 'broadcast_dropout': False},
  {'dropout_rate': 0.3, 'deterministic': True},
]


@pytest.mark.parametrize('options', _ATTENTION_OPTIONS)
def test_exact_attention(options: dict[str, Any]):
  helper = run_helper(registry.exact_function('flax.linen.dot_product_attention'))
  want, got = (
    jax.jit(functools.partial(function, **options))(*attention_inputs())
    for function in (nn.dot_product_attention, helper)
  )
  equal(want, got)


def test_attention_rounds_in_another_order():
  want, got = nn.dot_product_attention(*attention_inputs()), nnx.dot_product_attention(*attention_inputs())
  np.testing.assert_allclose(want, got, atol=1e-6)


def test_causal_exact_attention():
  helper = run_helper(registry.exact_function('flax.linen.dot_product_attention'))
  q, k, v = (normal(2, 5, 2, 8, seed=seed) for seed in (1, 2, 3))
  mask = nn.make_causal_mask(jnp.ones((2, 5)))
  equal(nn.dot_product_attention(q, k, v, mask=mask), helper(q, k, v, is_causal=True))
  equal(nn.dot_product_attention(q, k, v, mask=mask), helper(q, k, v, mask=mask, is_causal=True))


def test_attention_weights():
  name = 'flax.linen.dot_product_attention_weights'
  q, k, _, bias = attention_inputs()
  for options in ({}, {'mask': bias > 0}, {'dtype': jnp.bfloat16}):
    equal(resolve(name)(q, k, bias, **options), native(name)(q, k, bias, **options))


def test_dtypes():
  arrays = (jnp.ones(2, jnp.bfloat16), None, jnp.arange(2))
  name = 'flax.linen.dtypes.canonicalize_dtype'
  assert resolve(name)(*arrays) == native(name)(*arrays) == jnp.bfloat16
  promote = run_helper(registry.function_helper('flax.linen.dtypes.promote_dtype'))
  for options in ({}, {'dtype': jnp.float16}, {'inexact': False}):
    equal(nn.dtypes.promote_dtype(*arrays, **options), promote(*arrays, **options))


def test_merge_param():
  merge = run_helper(registry.function_helper('flax.linen.merge_param'))
  for a, b in ((1, None), (None, 2), (False, None), (None, 0)):
    assert merge('x', a, b) == nn.merge_param('x', a, b)
  for a, b in ((None, None), (1, 2)):
    for function in (merge, nn.merge_param):
      with pytest.raises(ValueError, match='x'):
        function('x', a, b)


def test_batch_apply():
  helper = run_helper(registry.function_helper('flax.linen.BatchApply'))
  x, y = normal(2, 3, 4), normal(2, 3, 5, seed=2)
  for function, args in (
    (lambda a, b: (a.sum(-1), b * 2), (x, y)),
    (lambda a, b: a * b, (x, 3.0)),
    (lambda a: {'r': a[:, :2]}, (x,)),
    (lambda a, b: a + b, (x, normal(4))),
  ):
    equal(nn.BatchApply(function)(*args), helper(function)(*args))
  equal(nn.BatchApply(lambda a: a.mean(-1), num_dims=1)(x), helper(lambda a: a.mean(-1), num_dims=1)(x))
  for wrapper in (nn.BatchApply, helper):
    with pytest.raises(ValueError):
      wrapper(lambda a: a)(normal(4))


def test_function_examples_are_programs():
  import importlib
  import pkgutil

  names = [
    module.name for module in pkgutil.iter_modules(importlib.import_module('rewrites.functions').__path__)
  ]
  modules = [importlib.import_module(f'rewrites.functions.{name}') for name in names]
  tables = [row for module in modules for row in getattr(module, 'RECORDS', None) or (module.RECORD,)]
  for table in (table for table in tables if isinstance(table, Functions)):
    assert any(example.after is None for example in table.examples)
    for example in table.examples:
      exec(compile(example.after or 'pass', 'after', 'exec'), {})
