"""One side's answer to the second part of the ladder: a hash of every output at a random point."""
from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.errors import RequestError
from migrator.equivalence.proof import jax_internals as internals
from migrator.equivalence.proof.field.evaluate import Evaluator, Marked, fingerprint, key_for
from migrator.equivalence.proof.field.values import Field, random_value
from migrator.equivalence.proof.lower import CALLS
from migrator.equivalence.proof.tracing import Traced

# Multiply-adds and elements that an evaluation may cost: tens of seconds.
LARGEST_COST = 2e10


class Keys:
  """Draws of the same name are the same keys on both sides; the n-th different key is the n-th on the other.

  So a key that is the same in every step of a loop is told from one that changes.
  """

  def __init__(self, names: Mapping[str, str]):
    self._names = names
    self._seen: dict[str, dict[bytes, int]] = {}

  def __call__(self, mark: str, value: Any) -> Any:
    name = self._names.get(mark)
    if name is None:
      return value
    if not name:
      return jnp.broadcast_to(key_for('the same key', 0), value.shape)
    data = np.asarray(jax.random.key_data(value))
    flat = data.reshape(-1, data.shape[-1])
    seen = self._seen.setdefault(name, {})
    keys = [key_for(name, seen.setdefault(row.tobytes(), len(seen))) for row in flat]
    return jnp.stack(keys).reshape(value.shape)


class Borders:
  """Values at the borders of modules: what is there is noted, both sides go on with the same random values."""

  def __init__(self, names: Mapping[str, str], seed: int, otherwise: Marked):
    self._names, self._seed, self._otherwise = names, seed, otherwise
    self._passed: collections.Counter[str] = collections.Counter()
    self._same: dict[tuple[str, int, str], Any] = {}
    self.found: dict[str, list[str]] = {}

  def __call__(self, mark: str, value: Any) -> Any:
    name = self._names.get(mark)
    if name is None:
      return self._otherwise(mark, value)
    step = self._passed[mark]
    self._passed[mark] += 1
    hashed = fingerprint(value)
    self.found.setdefault(name, []).append(hashed)
    if not isinstance(value, Field):
      return value
    # One array passed in twice is one value.  Words: path, kind, method, way, leaf, rank.
    words = name.split('|')
    call = '|'.join(words[:4] + words[5:])
    kind = jax.ShapeDtypeStruct(value.shape, value.dtype)
    return self._same.setdefault((call, step, hashed), random_value(f'{name} {step}', self._seed, kind))


def fingerprints(traced: Traced, draws: Mapping[str, str], seed: int, rounds: bool,
                 whole: Mapping[str, np.ndarray], borders: Mapping[str, str] | None = None) -> dict[str, str]:
  """Returns the hash of every output at the random point of a seed, and of what is at the borders.

  Args:
    draws: the common name of every mark of a draw.
    rounds: conversions to a narrower format are opaque.
    borders: names of marks where the program is cut.
    whole: the values of inputs of whole numbers, by name, such as tokens of a vocabulary.

  Raises:
    RequestError: it would take too long, or a dtype is not covered.
  """
  jaxpr, constants = internals.without_dead_code(traced.closed)
  cost = _cost(jaxpr)
  if cost > LARGEST_COST:
    raise RequestError(f'an evaluation would take {cost:.0e} operations; give a case with smaller sizes')
  kinds = [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in traced.closed.in_avals]
  try:
    args = [_fitting(whole[name], kind.shape) if name in whole else random_value(name, seed, kind)
            for name, kind in zip(traced.inputs, kinds)]
    cuts = Borders(borders or {}, seed, Keys(draws))
    outputs = Evaluator(rounds, cuts).run(jaxpr, constants, args)
  except NotImplementedError as error:
    raise RequestError(f'no evaluation: {error}') from error
  at_borders = {name: ' '.join(found) for name, found in cuts.found.items()}
  return {**dict(zip(traced.outputs, map(fingerprint, outputs))), **at_borders}


def _fitting(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
  """Returns the first part of the case's input where the program was traced for less of it, such as a batch of one."""
  return array[tuple(slice(size) for size in shape)]


def _cost(jaxpr: Any) -> float:
  """Elements written, and multiply-adds of products and convolutions."""
  return sum(_equation_cost(item) for item in jaxpr.eqns)


def _equation_cost(item: Any) -> float:
  name, params = item.primitive.name, item.params
  if name in CALLS:
    return _cost((internals.opened(params[CALLS[name]]) or (None,))[0])
  if name == 'scan':
    return params['length'] * _cost((internals.opened(params['jaxpr']) or (None,))[0])
  written = float(sum(math.prod(variable.aval.shape) for variable in item.outvars if hasattr(variable.aval, 'shape')))
  if name == 'dot_general':
    (contracted, _), _ = params['dimension_numbers']
    return written * _product(item.invars[0].aval.shape, contracted)
  if name == 'conv_general_dilated':
    kernel = item.invars[1].aval.shape
    return written * math.prod(kernel) / max(1, kernel[params['dimension_numbers'].rhs_spec[0]])
  return written


def _product(shape: Sequence[int], axes: Sequence[int]) -> float:
  return float(math.prod(shape[axis] for axis in axes))
