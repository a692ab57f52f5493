"""What each primitive does to elements of the field: arguments, parameters, shape of the result."""
from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from migrator.equivalence.proof.field.oracle import even, exponential, odd, oracle, rank
from migrator.equivalence.proof.field.prime import P, inverse, power, root

Fields = Sequence[np.ndarray]
Operation = Callable[[Fields, Mapping[str, Any]], np.ndarray]
ZERO = np.zeros((), np.int64)


def _at_least(a: Any, b: Any) -> np.ndarray:
  return rank(a) >= rank(b)


def _power(x: np.ndarray, y: int) -> np.ndarray:
  return power(x, y) if y >= 0 else inverse(power(x, -y))


def _tanh(x: np.ndarray) -> np.ndarray:
  twice = exponential(2 * x % P)
  return (twice - 1) * inverse((twice + 1) % P)


def _sign(x: np.ndarray) -> np.ndarray:
  return np.where(x == 0, 0, np.where(_at_least(x, ZERO), 1, P - 1))


def _clamp(low: np.ndarray, x: np.ndarray, high: np.ndarray) -> np.ndarray:
  x = np.where(_at_least(x, low), x, low)
  return np.where(_at_least(high, x), x, high)


ELEMENTWISE: dict[str, Operation] = {
  'add': lambda f, p: f[0] + f[1], 'add_any': lambda f, p: f[0] + f[1], 'sub': lambda f, p: f[0] - f[1],
  'mul': lambda f, p: f[0] * f[1], 'div': lambda f, p: f[0] * inverse(f[1]), 'neg': lambda f, p: -f[0],
  'square': lambda f, p: f[0] * f[0], 'integer_pow': lambda f, p: _power(f[0], p['y']),
  'sqrt': lambda f, p: root(f[0]), 'rsqrt': lambda f, p: inverse(root(f[0])),
  'exp': lambda f, p: exponential(f[0]), 'expm1': lambda f, p: exponential(f[0]) - 1,
  'tanh': lambda f, p: _tanh(f[0]), 'logistic': lambda f, p: inverse((1 + exponential(-f[0] % P)) % P),
  'log': lambda f, p: oracle('log', f[0]), 'log1p': lambda f, p: oracle('log', (f[0] + 1) % P),
  'erfc': lambda f, p: 1 - odd('erf', f[0]), 'pow': lambda f, p: oracle('pow', *f),
  'max': lambda f, p: np.where(_at_least(*f), *f), 'min': lambda f, p: np.where(_at_least(*f), f[1], f[0]),
  'clamp': lambda f, p: _clamp(*f), 'sign': lambda f, p: _sign(f[0]),
  'abs': lambda f, p: np.where(_at_least(f[0], ZERO), f[0], -f[0] % P),
  'copy': lambda f, p: f[0], 'stop_gradient': lambda f, p: f[0],
  **{name: functools.partial(lambda name, f, p: odd(name, f[0]), name)
     for name in ('erf', 'sin', 'tan', 'asin', 'atan', 'sinh', 'asinh', 'atanh', 'erf_inv')},
  **{name: functools.partial(lambda name, f, p: even(name, f[0]), name) for name in ('cos', 'cosh')},
  **{name: functools.partial(lambda name, f, p: oracle(name, *f), name)
     for name in ('exp2', 'cbrt', 'floor', 'ceil', 'round', 'digamma', 'lgamma', 'atan2', 'rem', 'acos')},
}

COMPARISONS: dict[str, Callable[[Any, Any], np.ndarray]] = {
  'eq': lambda a, b: a == b, 'ne': lambda a, b: a != b, 'lt': lambda a, b: rank(a) < rank(b),
  'le': lambda a, b: rank(a) <= rank(b), 'gt': lambda a, b: rank(a) > rank(b),
  'ge': lambda a, b: rank(a) >= rank(b)}


def _reshape(f: Fields, p: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
  if p.get('new_sizes') is not None and p.get('dimensions') is not None:
    return f[0].transpose(p['dimensions']).reshape(shape)
  return f[0].reshape(shape)


def _broadcast(f: Fields, p: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
  sizes = [1] * len(shape)
  for axis, size in zip(p['broadcast_dimensions'], f[0].shape):
    sizes[int(axis)] = size
  return np.broadcast_to(f[0].reshape(sizes), shape)


def _slice(f: Fields, p: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
  steps = p['strides'] or [1] * len(shape)
  return f[0][tuple(map(slice, p['start_indices'], p['limit_indices'], steps))]


def _cumulated(f: Fields, p: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
  x = np.flip(f[0], p['axis']) if p['reverse'] else f[0]
  total = np.cumsum(x, p['axis'])
  return np.flip(total, p['axis']) if p['reverse'] else total


def _product(f: Fields, p: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
  x = f[0]
  for axis in sorted(p['axes'], reverse=True):
    x = functools.reduce(lambda a, b: a * b % P, np.moveaxis(x, axis, 0))
  return x


SHAPED: dict[str, Callable[[Fields, Mapping[str, Any], tuple[int, ...]], np.ndarray]] = {
  'reshape': _reshape, 'squeeze': _reshape, 'expand_dims': _reshape, 'broadcast_in_dim': _broadcast,
  'transpose': lambda f, p, shape: f[0].transpose(p['permutation']), 'slice': _slice,
  'rev': lambda f, p, shape: np.flip(f[0], p['dimensions']),
  'concatenate': lambda f, p, shape: np.concatenate(f, p['dimension']),
  'stack': lambda f, p, shape: np.stack(f, p['axis']),
  'tile': lambda f, p, shape: np.tile(f[0], p['reps']),
  'reduce_sum': lambda f, p, shape: np.sum(f[0], axis=tuple(p['axes'])),
  'reduce_prod': _product, 'cumsum': _cumulated}


def extreme(name: str, value: np.ndarray, axes: Sequence[int]) -> np.ndarray:
  """Returns reduce_max, reduce_min, or the place of either for argmax and argmin."""
  kept = [axis for axis in range(value.ndim) if axis not in axes]
  rows = value.transpose(*kept, *axes).reshape([value.shape[axis] for axis in kept] + [-1])
  order = rank(rows)
  places = order.argmax(-1) if name.endswith('max') else order.argmin(-1)
  return places if name.startswith('arg') else np.take_along_axis(rows, places[..., None], -1)[..., 0]
