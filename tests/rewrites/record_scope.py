"""What the sample texts of the records may name, and random variables for the Linen side."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rewrites import registry
from rewrites.adapters import KNOWN_KEYWORDS, PLAIN_PROMOTE, TUPLE_PROMOTE_DTYPE, WITHOUT_OUT_SHARDING
from rewrites.attention_function import LINEN_ATTENTION
from rewrites.record import Helper, Layer, Sample

_POSITIVE = ('var', 'sigma')


def normal(*shape: int, seed: int = 1) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), shape)


def integers(high: int, *shape: int) -> jax.Array:
  return jax.random.randint(jax.random.key(2), shape, 0, high)


def helpers() -> list[Helper]:
  """Every helper any record may write into the user's file."""
  found = registry.registry()
  return [
    WITHOUT_OUT_SHARDING,
    TUPLE_PROMOTE_DTYPE,
    KNOWN_KEYWORDS,
    PLAIN_PROMOTE,
    LINEN_ATTENTION,
    *(layer.helper for layer in found.layers if layer.helper is not None),
    *found.function_helpers.values(),
  ]


def run_helper(helper: Helper) -> Any:
  """Executes a helper with nothing but its own imports and what it uses; returns the object it defines."""
  wanted = {other.name: other for other in helpers()}
  namespace: dict[str, Any] = {name: run_helper(wanted[name]) for name in helper.uses}
  exec('\n'.join(helper.imports), namespace)
  exec(compile(helper.source, f'<{helper.name}>', 'exec'), namespace)
  return namespace[helper.name]


@functools.cache
def scope() -> dict[str, Any]:
  names = {
    'nn': nn,
    'nnx': nnx,
    'jnp': jnp,
    'jax': jax,
    'np': np,
    'flax': flax,
    'functools': functools,
    'normal': normal,
    'integers': integers,
  }
  return {**names, **{helper.name: run_helper(helper) for helper in helpers()}}


def evaluate(text: str, **more: Any) -> Any:
  return eval(text, {**scope(), **more})


def keywords(text: str) -> dict[str, Any]:
  return evaluate(f'dict({text})')


def resolve(name: str) -> Any:
  """Returns the object behind a dotted name; submodules are imported on the way."""
  import importlib

  parts = name.split('.')
  value = importlib.import_module(parts[0])
  for end, part in enumerate(parts[1:], 2):
    if not hasattr(value, part):
      importlib.import_module('.'.join(parts[:end]))
    value = getattr(value, part)
  return value


def nnx_class(record: Layer) -> type:
  return resolve(record.nnx) if '.' in record.nnx else scope()[record.nnx]


def random_variables(sample: Sample) -> tuple[nn.Module, dict[str, Any]]:
  """Returns the Linen layer and variables of noise; variances are positive, a cache is empty."""
  layer = evaluate(sample.linen)
  texts = sample.inputs if sample.linen_init is None else sample.linen_init
  rngs = {'params': jax.random.key(0), 'dropout': jax.random.key(3)}
  # Only shapes are asked for: running the initializers would cost more than all the rest.
  shapes = jax.eval_shape(lambda: layer.init(rngs, *map(evaluate, texts), **keywords(sample.linen_call)))
  return layer, {name: _zeros(tree) if name == 'cache' else _noise(tree) for name, tree in shapes.items()}


def _zeros(tree: Any) -> Any:
  return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)


def _noise(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
  return {
    name: _noise(value, (*path, name)) if isinstance(value, Mapping) else _random((*path, name), value)
    for name, value in tree.items()
  }


def _random(path: tuple[str, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
  values = 0.4 * np.random.default_rng([*'/'.join(path).encode()]).normal(size=leaf.shape)
  return jnp.asarray(np.abs(values) + 0.5 if path[-1] in _POSITIVE else values, leaf.dtype)
