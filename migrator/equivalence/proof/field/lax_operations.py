"""Primitives that are left to lax itself, on exact numbers: products, convolutions, windows, gather, scatter."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.proof import jax_internals as internals
from migrator.equivalence.proof.field.oracle import rank
from migrator.equivalence.proof.field.prime import P, bilinear
from migrator.equivalence.proof.field.values import Field, elements, is_float

CONVOLUTION = ('window_strides', 'padding', 'lhs_dilation', 'rhs_dilation', 'dimension_numbers',
               'feature_group_count', 'batch_group_count')
INDEXING = ('gather', 'dynamic_slice', 'dynamic_update_slice', 'scatter', 'scatter-add', 'scatter_add')


def exactly(function: Callable[[], Any]) -> np.ndarray:
  """Runs lax with 64 bits."""
  with jax.enable_x64(True):
    return np.asarray(function())


def product(f: Sequence[np.ndarray], params: Mapping[str, Any]) -> np.ndarray:
  return exactly(lambda: bilinear(lambda a, b: jax.lax.dot_general(a, b, params['dimension_numbers']), *f))


def convolution(f: Sequence[np.ndarray], params: Mapping[str, Any]) -> np.ndarray:
  given = {name: params[name] for name in CONVOLUTION}
  return exactly(lambda: bilinear(
    lambda a, b: jax.lax.conv_general_dilated(jnp.asarray(a), jnp.asarray(b), **given), *f))


def pad(f: Sequence[np.ndarray], params: Mapping[str, Any]) -> np.ndarray:
  return exactly(lambda: jax.lax.pad(jnp.asarray(f[0]), jnp.asarray(int(f[1]), jnp.int64), params['padding_config']))


def indexing(equation: Any, values: Sequence[Any]) -> np.ndarray:
  """gather, scatter and dynamic slices move elements; indices are whole numbers and stay what they are."""
  name, params = equation.primitive.name, dict(internals.bind_params(equation))

  def run() -> Any:
    given = [jnp.asarray(elements(value), jnp.int64) if _is_field(value) else jnp.asarray(value) for value in values]
    if name.startswith('scatter'):
      function: Any = jax.lax.scatter_add if 'add' in name else jax.lax.scatter
      return function(*given, params['dimension_numbers'], indices_are_sorted=params['indices_are_sorted'],
                      unique_indices=params['unique_indices'], mode=params['mode'])
    if name == 'gather' and params.get('fill_value') is None and 'FILL' in str(params.get('mode')):
      params['fill_value'] = -1
    return equation.primitive.bind(*given, **params)

  return exactly(run) % P


def _is_field(value: Any) -> bool:
  return isinstance(value, Field) or is_float(np.asarray(value).dtype)


def window(name: str, f: Sequence[np.ndarray], params: Mapping[str, Any]) -> np.ndarray:
  """Pooling: sums are sums of elements, maxima are by the random order."""
  sizes, strides, padding = params['window_dimensions'], params['window_strides'], params['padding']
  dilation = params.get('base_dilation'), params.get('window_dilation')
  if name == 'reduce_window_sum':
    return exactly(lambda: jax.lax.reduce_window(
      jnp.asarray(f[0], jnp.int64), jnp.int64(0), jax.lax.add, sizes, strides, padding, *dilation)) % P
  order = rank(f[0])
  names = dict(zip(order.ravel().tolist(), f[0].ravel().tolist()))
  largest = name == 'reduce_window_max'
  start, choose = (-1, jax.lax.max) if largest else (2**62, jax.lax.min)
  found = exactly(lambda: jax.lax.reduce_window(jnp.asarray(order), jnp.int64(start), choose, sizes, strides, padding, *dilation))
  return np.asarray([names.get(number, 0) for number in found.ravel().tolist()], np.int64).reshape(found.shape)


def window_gradient(f: Sequence[np.ndarray], params: Mapping[str, Any]) -> np.ndarray:
  """The gradient of max pooling: each source element goes to the place its window took the maximum from."""
  source, operand = f
  order = rank(operand)

  def pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, params['window_dimensions'],
                                 params['window_strides'], params['padding'])

  def scattered(part: np.ndarray) -> np.ndarray:
    return exactly(lambda: jax.vjp(pooled, jnp.asarray(order, jnp.float64))[1](
      jnp.asarray(part, jnp.float64))[0]).astype(np.int64)

  return (scattered(source >> 16) * 65536 + scattered(source & 65535)) % P
