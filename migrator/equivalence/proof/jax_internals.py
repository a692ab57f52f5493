"""The names of jax that are not public or moved between versions; nothing else of the prover knows them.

tests/equivalence/test_jax_internals.py says which of them is gone when a new version moves one.
"""
from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import partial_eval


def opened(value: Any) -> tuple[Any, list[Any]] | None:
  """Returns (jaxpr, constants) of a closed or open jaxpr, None for anything else."""
  if isinstance(value, core.ClosedJaxpr):
    return value.jaxpr, list(value.consts)
  # Since jax 0.12 there is one class for both.
  if isinstance(value, core.Jaxpr):
    return value, list(getattr(value, 'consts', ()))
  return None


def without_dead_code(closed: Any) -> tuple[Any, list[Any]]:
  """Returns (jaxpr, constants) with the equations that no output needs removed, inside loops too."""
  jaxpr, constants = opened(closed) or (closed, [])
  live, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
  if len(live.constvars) == len(constants):
    return live, constants
  kept = set(live.constvars)
  return live, [value for variable, value in zip(jaxpr.constvars, constants) if variable in kept]


def scan_counts(params: Any) -> tuple[int, int]:
  """Returns how many operands of a scan are constants, and how many are carried."""
  if 'num_consts' in params:
    return params['num_consts'], params['num_carry']
  constants, carried, _ = params['ft_in'].unpack()
  return _count(constants), _count(carried)


def _count(tree: Any) -> int:
  return len(list(getattr(tree, 'vals', tree)))


def bind_params(equation: Any) -> dict[str, Any]:
  """Returns the parameters to bind the primitive of an equation with."""
  return equation.primitive.get_bind_params(equation.params)


def is_symbolic(dimension: Any) -> bool:
  """Whether a dimension is an expression of symbols, such as 'b' or '3*b'."""
  return jax.export.is_symbolic_dim(dimension)


def key_impl_name(value: Any) -> str | None:
  """Returns the name of a random number implementation, None for anything else."""
  return getattr(value, 'tag', None) if type(value).__name__ == 'PRNGImpl' else None


def frames(equation: Any) -> Iterator[tuple[str, int]]:
  """Yields (file, line) of the calls that made an equation, innermost first."""
  trace = equation.source_info.traceback
  for frame in () if trace is None else trace.frames:
    yield frame.file_name, frame.line_num


@functools.cache
def literal_type() -> type:
  return core.Literal


def literal_value(item: Any) -> Any:
  """Returns a literal in its own dtype; jax keeps Python's numbers wider than the program does."""
  if jax.dtypes.issubdtype(item.aval.dtype, jax.dtypes.prng_key):
    return item.val
  return np.asarray(item.val).astype(item.aval.dtype)
