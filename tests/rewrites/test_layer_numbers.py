"""Each sample: Linen with random variables equals NNX with the same ones, moved by the record."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from record_mapping import KINDS, collection_of, linen_leaves, rows, to_linen, to_nnx, weights
from record_scope import evaluate, keywords, random_variables

from rewrites import registry
from rewrites.record import Layer, Sample

SAMPLES = [
  pytest.param(layer, sample, id=f'{layer.linen[0].rpartition(".")[2]}-{index}')
  for layer in registry.layers()
  for index, sample in enumerate(layer.samples)
]


def native(sample: Sample) -> nnx.Module:
  module = evaluate(sample.nnx, rngs=nnx.Rngs(0, params=1, dropout=2))
  if sample.prepare:
    evaluate(sample.prepare, module=module)
  return module


def numbers(leaf: Any) -> np.ndarray:
  return np.asarray(leaf.astype(jnp.float32) if leaf.dtype == jnp.bfloat16 else leaf)


def same_bits(one: Any, other: Any) -> bool:
  one, other = np.asarray(one), np.asarray(other)
  return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.mark.parametrize('layer, sample', SAMPLES)
def test_leaves(layer: Layer, sample: Sample):
  """Each leaf is used once, with equal shape and dtype, in the right collection; the way back is exact."""
  _, variables = random_variables(sample)
  leaves, collections, module = linen_leaves(variables), collection_of(variables), native(sample)
  table, target = rows(layer, module, set(leaves)), weights(module)
  sources = [path for linen, _, _ in table for path in linen]
  assert sorted(sources) == sorted(leaves)
  assert sorted(path for _, path, _ in table) == sorted(target)
  moved = to_nnx(table, leaves)
  for linen, path, _ in table:
    assert (moved[path].shape, moved[path].dtype) == (target[path].shape, target[path].dtype), path
    assert {KINDS[collections[source]] for source in linen} == {type(target[path])}, path
  axes = {path: axis for linen, _, axis in table for path in linen if len(linen) > 1}
  back = to_linen(table, moved, {path: leaves[path].shape[axis] for path, axis in axes.items()})
  assert back.keys() == leaves.keys() and all(same_bits(back[path], leaves[path]) for path in leaves)
  assert set(collections.values()) <= set(layer.collections) | _below(layer)


def _below(layer: Layer) -> set[str]:
  return {'params'} if layer.children else set()


def programs(layer: Layer, sample: Sample):
  """Returns both sides as functions (variables, inputs) -> (output, updated collections)."""
  linen, variables = random_variables(sample)
  module = native(sample)
  table = rows(layer, module, set(linen_leaves(variables)))
  graphdef, state = nnx.split(module)
  linen_call, nnx_call = keywords(sample.linen_call), keywords(sample.nnx_call)
  rngs = {'dropout': jax.random.key(5)}

  def one(variables, inputs):
    if not sample.collections:
      return linen.apply(variables, *inputs, rngs=rngs, **linen_call), {}
    out, updates = linen.apply(variables, *inputs, rngs=rngs, mutable=list(sample.collections), **linen_call)
    return out, to_nnx(table, linen_leaves({**variables, **updates}))

  def other(variables, inputs):
    copy = nnx.merge(graphdef, state, copy=True)
    held = weights(copy)
    for path, value in to_nnx(table, linen_leaves(variables)).items():
      held[path].set_value(value)
    out = copy(*inputs, **nnx_call)
    return out, {path: leaf.get_value() for path, leaf in held.items()} if sample.collections else {}

  return one, other, variables, tuple(map(evaluate, sample.inputs))


def with_gradients(program):
  """Returns (variables, inputs) -> (output, updates, gradients for parameters and floating inputs)."""

  def run(variables, inputs):
    def loss(params, floating):
      given = jax.tree.map(
        lambda new, old: old if new is None else new, floating, inputs, is_leaf=lambda x: x is None
      )
      out, updates = program({**variables, 'params': params}, given)
      return sum((leaf.astype(jnp.float32) ** 2).sum() for leaf in jax.tree.leaves(out)), (out, updates)

    floating = jax.tree.map(lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else None, inputs)
    grads, (out, updates) = jax.grad(loss, argnums=(0, 1), has_aux=True)(
      variables.get('params', {}), floating
    )
    return out, updates, grads

  return run


@pytest.mark.parametrize('layer, sample', SAMPLES)
def test_outputs_updates_and_gradients(layer: Layer, sample: Sample):
  one, other, variables, inputs = programs(layer, sample)
  if sample.gradient:
    one, other = with_gradients(one), with_gradients(other)
  want, got = jax.jit(one)(variables, inputs), jax.jit(other)(variables, inputs)
  assert jax.tree.structure(want) == jax.tree.structure(got)
  assert jax.tree.leaves(want[0])
  for expected, actual in zip(jax.tree.leaves(want[:2]), jax.tree.leaves(got[:2]), strict=True):
    if sample.exact:
      assert same_bits(expected, actual), np.abs(numbers(expected) - numbers(actual)).max()
    else:
      assert expected.dtype == actual.dtype
      np.testing.assert_allclose(numbers(actual), numbers(expected), rtol=0, atol=sample.tolerance)
  slack = 3e-2 if 'bfloat16' in sample.linen else 2e-5
  scale = max([1.0, *(float(np.abs(numbers(leaf)).max()) for leaf in jax.tree.leaves(want[2:]))])
  for expected, actual in zip(jax.tree.leaves(want[2:]), jax.tree.leaves(got[2:]), strict=True):
    assert expected.dtype == actual.dtype
    np.testing.assert_allclose(numbers(actual), numbers(expected), rtol=0, atol=slack * scale)


@pytest.mark.parametrize('layer', [pytest.param(layer, id=layer.linen[0]) for layer in registry.layers()])
def test_every_layer_has_samples_and_examples(layer: Layer):
  assert layer.samples
  assert any(example.after is None for example in layer.examples)
  assert any(example.after is not None for example in layer.examples)


def test_the_comparison_can_fail():
  """A wrong parameter row is found: two gates swapped, or a leaf left out."""
  layer = registry.layer_for('flax.linen.LSTMCell')
  one, other, variables, inputs = programs(layer, layer.samples[0])
  swapped = {
    'params': {**variables['params'], 'ii': variables['params']['io'], 'io': variables['params']['ii']}
  }
  want, got = one(variables, inputs)[0], other(swapped, inputs)[0]
  assert not all(map(same_bits, jax.tree.leaves(want), jax.tree.leaves(got)))
