"""Evaluating a jaxpr at a random point of the field."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.proof import jax_internals as internals
from migrator.equivalence.proof.field import lax_operations as lax_side
from migrator.equivalence.proof.field.operations import COMPARISONS, ELEMENTWISE, SHAPED, extreme
from migrator.equivalence.proof.field.oracle import oracle, seed_of
from migrator.equivalence.proof.field.prime import P
from migrator.equivalence.proof.field.values import Field, elements, is_float
from migrator.equivalence.proof.lower import CALLS
from migrator.equivalence.proof.rules.identities import COPIES

# What becomes of a marked value: (mark, value) -> value.
Marked = Callable[[str, Any], Any]
EXTREMES = ('reduce_max', 'reduce_min', 'argmax', 'argmin')


class Evaluator:
  """Evaluates one program.

  rounds: conversions to a narrower format are opaque, so that another precision shows.
  marked: what becomes of marked values.  unknown: operations treated as opaque functions.
  """

  def __init__(self, rounds: bool, marked: Marked):
    self._rounds, self._marked = rounds, marked
    self.unknown: set[str] = set()

  def run(self, jaxpr: Any, constants: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *args)))

    def read(item: Any) -> Any:
      return internals.literal_value(item) if isinstance(item, internals.literal_type()) else values[item]

    for equation in jaxpr.eqns:
      results = self._equation(equation, [read(item) for item in equation.invars])
      values.update(zip(equation.outvars, results))
    return [read(item) for item in jaxpr.outvars]

  def _inner(self, value: Any, args: Sequence[Any]) -> list[Any]:
    jaxpr, constants = internals.opened(value) or (value, [])
    return self.run(jaxpr, constants, args)

  def _equation(self, equation: Any, args: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    if name == 'name':
      return [self._marked(params['name'], args[0])]
    if name in COPIES:
      return args
    if name in CALLS:
      return self._inner(params[CALLS[name]], args)
    if name in ('scan', 'while', 'cond'):
      return getattr(self, f'_{name}')(params, args)
    if not any(isinstance(value, Field) for value in args):
      return _computed(equation, args)
    results = self._operation(name, params, args, equation)
    return [_typed(result, variable.aval) for result, variable in zip(results, equation.outvars)]

  def _scan(self, params: Mapping[str, Any], args: list[Any]) -> list[Any]:
    fixed, carried = internals.scan_counts(params)
    length = params['length']
    constants, state, sequences = args[:fixed], args[fixed:fixed + carried], args[fixed + carried:]
    rows: list[list[Any]] = [[] for _ in range(length)]
    for step in reversed(range(length)) if params['reverse'] else range(length):
      outputs = self._inner(params['jaxpr'], [*constants, *state, *(_row(x, step) for x in sequences)])
      state, rows[step] = outputs[:carried], outputs[carried:]
    return [*state, *(_stacked(column) for column in zip(*rows))]

  def _while(self, params: Mapping[str, Any], args: list[Any]) -> list[Any]:
    of_condition, of_body = params['cond_nconsts'], params['body_nconsts']
    for_condition, for_body = args[:of_condition], args[of_condition:of_condition + of_body]
    state = args[of_condition + of_body:]
    while bool(np.asarray(self._inner(params['cond_jaxpr'], [*for_condition, *state])[0])):
      state = self._inner(params['body_jaxpr'], [*for_body, *state])
    return state

  def _cond(self, params: Mapping[str, Any], args: list[Any]) -> list[Any]:
    branches = params['branches']
    return self._inner(branches[min(max(int(np.asarray(args[0])), 0), len(branches) - 1)], args[1:])

  def _operation(self, name: str, params: Mapping[str, Any], args: list[Any], equation: Any) -> list[Any]:
    shape = equation.outvars[0].aval.shape
    if name in lax_side.INDEXING:
      return [lax_side.indexing(equation, args)]
    if name == 'select_n':
      which = np.broadcast_to(np.asarray(args[0]).astype(np.int64), shape)
      return [np.choose(which, [np.broadcast_to(elements(value), shape) for value in args[1:]])]
    f = [elements(value) for value in args]
    if name in ELEMENTWISE:
      return [np.broadcast_to(ELEMENTWISE[name](f, params), shape)]
    if name in COMPARISONS:
      return [np.broadcast_to(COMPARISONS[name](*f), shape)]
    if name in SHAPED:
      return [SHAPED[name](f, params, shape)]
    if name in EXTREMES:
      return [extreme(name, f[0], tuple(params['axes']))]
    if name == 'split':
      return list(np.split(f[0], np.cumsum(params['sizes'])[:-1], params['axis']))
    if name == 'unstack':
      return [np.take(f[0], k, params['axis']) for k in range(len(equation.outvars))]
    return [self._other(name, params, f, args)] if name in OTHER else self._opaque(name, params, f, equation)

  def _other(self, name: str, params: Mapping[str, Any], f: list[np.ndarray], args: list[Any]) -> np.ndarray:
    if name == 'convert_element_type':
      return self._converted(f[0], args[0].dtype, params['new_dtype'])
    if name == 'reduce_precision':
      return oracle(f'precision {params}', f[0]) if self._rounds else f[0]
    if name == 'is_finite':
      return np.ones(f[0].shape, bool)
    return OTHER[name](name, f, params)

  def _converted(self, value: np.ndarray, old: str, new: Any) -> np.ndarray:
    if is_float(new):
      narrows = self._rounds and jnp.dtype(new).itemsize < jnp.dtype(old).itemsize
      return oracle(f'round to {jnp.dtype(new)}', value) if narrows else value
    return value != 0 if jnp.dtype(new) == np.bool_ else oracle('to whole numbers', value) % 7

  def _opaque(self, name: str, params: Mapping[str, Any], f: list[np.ndarray], equation: Any) -> list[Any]:
    """An operation nothing is known of: equal only for the same operation on the same values."""
    self.unknown.add(name)
    state = hashlib.sha256(f'{name} {sorted(params.items(), key=lambda item: item[0])}'.encode())
    for value in f:
      state.update(f'{value.shape}'.encode() + np.ascontiguousarray(value).tobytes())
    seed = int.from_bytes(state.digest()[:6], 'big')
    kinds = [variable.aval for variable in equation.outvars]
    return [oracle(f'{name} {k}', np.arange(int(np.prod(kind.shape))).reshape(kind.shape) + seed)
            for k, kind in enumerate(kinds)]


OTHER: dict[str, Any] = {
  'convert_element_type': None, 'reduce_precision': None, 'is_finite': None,
  'dot_general': lambda name, f, p: lax_side.product(f, p),
  'conv_general_dilated': lambda name, f, p: lax_side.convolution(f, p),
  'pad': lambda name, f, p: lax_side.pad(f, p),
  'reduce_window_sum': lax_side.window, 'reduce_window_max': lax_side.window,
  'reduce_window_min': lax_side.window,
  'select_and_scatter_add': lambda name, f, p: lax_side.window_gradient(f, p)}


def fingerprint(value: Any) -> str:
  """Returns the hash of a value."""
  array = elements(value) if isinstance(value, Field) or is_float(value.dtype) else _plain(value)
  text = f'{value.dtype}{tuple(value.shape)}'.encode()
  return hashlib.sha256(text + np.ascontiguousarray(array).tobytes()).hexdigest()


def key_for(name: str, place: int) -> jax.Array:
  """Returns the random key that stands for the draw of this name and number."""
  return jax.random.key((seed_of(name) + place) % 2**31)


def _plain(value: Any) -> np.ndarray:
  is_key = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
  return np.asarray(jax.random.key_data(value) if is_key else value)


def _computed(equation: Any, args: list[Any]) -> list[Any]:
  given = [jnp.asarray(value) if isinstance(value, np.ndarray) else value for value in args]
  results = equation.primitive.bind(*given, **internals.bind_params(equation))
  return list(results) if equation.primitive.multiple_results else [results]


def _typed(result: Any, kind: Any) -> Any:
  if is_float(kind.dtype):
    return Field(np.asarray(result, np.int64) % P, str(kind.dtype))
  return np.asarray(result).astype(kind.dtype)


def _row(value: Any, step: int) -> Any:
  return Field(value.value[step], value.dtype) if isinstance(value, Field) else value[step]


def _stacked(column: Sequence[Any]) -> Any:
  fields = [value for value in column if isinstance(value, Field)]
  if fields:
    return Field(np.stack([elements(value) for value in column]), fields[0].dtype)
  return jnp.stack([jnp.asarray(value) for value in column])
