"""Helpers that let a function written for Linen's calling convention serve an NNX layer."""

from __future__ import annotations

from rewrites.record import Helper

WITHOUT_OUT_SHARDING = Helper(
  'without_out_sharding',
  '''\
def without_out_sharding(function):
  """Adapts an operator to NNX, which adds the keyword `out_sharding`; a request for a sharding is refused."""

  def adapted(*args, out_sharding=None, **kwargs):
    if out_sharding is not None:
      raise ValueError(f'{function} does not know out_sharding, got {out_sharding}')
    return function(*args, **kwargs)

  return adapted
''',
  imports=(),
)

TUPLE_PROMOTE_DTYPE = Helper(
  'tuple_promote_dtype',
  '''\
def tuple_promote_dtype(function):
  """Adapts `function(*arrays, dtype=..., inexact=...)` to NNX, which hands over one tuple of arrays."""

  def adapted(arrays, /, **kwargs):
    return tuple(function(*arrays, **kwargs))

  return adapted
''',
  imports=(),
)

KNOWN_KEYWORDS = Helper(
  'known_keywords',
  '''\
def known_keywords(function):
  """Adapts an attention function to NNX, which passes every keyword whether the function takes it or not."""
  parameters = inspect.signature(function).parameters.values()
  if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
    return function
  known = {parameter.name for parameter in parameters}

  def adapted(*args, **kwargs):
    return function(*args, **{name: value for name, value in kwargs.items() if name in known})

  return adapted
''',
  imports=('import inspect',),
)

PLAIN_PROMOTE = Helper(
  'plain_promote',
  '''\
def plain_promote(arrays, /, *, dtype=None, inexact=True):
  """Leaves the arrays as they are: a norm then computes in float32 and rounds once, as Linen does."""
  return tuple(None if array is None else jnp.asarray(array) for array in arrays)
''',
  imports=('import jax.numpy as jnp',),
)
