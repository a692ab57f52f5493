"""Random mutations of one equation of a jaxpr: another literal, operand, primitive, axis or permutation."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend import core

OTHER = {'add': 'sub', 'sub': 'add', 'mul': 'add', 'div': 'mul', 'max': 'min', 'min': 'max', 'exp': 'tanh',
         'tanh': 'sin', 'lt': 'le', 'le': 'lt', 'gt': 'ge', 'ge': 'gt', 'eq': 'ne', 'rsqrt': 'sqrt', 'sqrt': 'rsqrt',
         'neg': 'abs', 'logistic': 'tanh', 'reduce_sum': 'reduce_max', 'reduce_max': 'reduce_sum', 'and': 'or',
         'or': 'and', 'sin': 'cos', 'cos': 'sin', 'abs': 'neg'}
WITH_ACCURACY = ('exp', 'tanh', 'sin', 'cos', 'sqrt', 'rsqrt', 'logistic')
NESTED = ('jit', 'pjit', 'scan', 'checkpoint', 'remat2', 'custom_jvp_call', 'closed_call')
Site = tuple[Any, ...]
Change = Callable[[Any, Any, int, random.Random], Any]


def sites(jaxpr: Any, path: Site = ()) -> Iterator[Site]:
  """Yields the place of every equation, those inside functions and loops too."""
  for k, item in enumerate(jaxpr.eqns):
    yield (*path, k)
    if item.primitive.name in NESTED:
      for name, value in item.params.items():
        if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
          yield from sites(_open(value), (*path, (k, name)))


def mutant(jaxpr: Any, site: Site, source: random.Random) -> tuple[Any, str] | None:
  """Returns (mutated jaxpr, what was done) or None where nothing fits."""
  if isinstance(site[0], tuple):
    k, name = site[0]
    item = jaxpr.eqns[k]
    inner = mutant(_open(item.params[name]), site[1:], source)
    if inner is None:
      return None
    value = item.params[name]
    closed = core.ClosedJaxpr(inner[0], value.consts) if isinstance(value, core.ClosedJaxpr) else inner[0]
    return _replaced(jaxpr, k, item.replace(params={**item.params, name: closed})), inner[1]
  k = site[0]
  item = jaxpr.eqns[k]
  for change in source.sample(CHANGES, len(CHANGES)):
    new = change(jaxpr, item, k, source)
    if new is not None:
      return _replaced(jaxpr, k, new), f'{change.__name__.removeprefix("_")} {item.primitive.name}'
  return None


def _open(value: Any) -> Any:
  return value.jaxpr if isinstance(value, core.ClosedJaxpr) and not isinstance(value, core.Jaxpr) else value


def _replaced(jaxpr: Any, k: int, item: Any) -> Any:
  return jaxpr.replace(eqns=[*jaxpr.eqns[:k], item, *jaxpr.eqns[k + 1:]])


def _literal(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """Another constant: one more, or a tenth of a thousandth more."""
  places = [place for place, operand in enumerate(item.invars) if isinstance(operand, core.Literal)
            and np.ndim(operand.val) == 0 and np.issubdtype(operand.aval.dtype, np.number)]
  if not places:
    return None
  place = source.choice(places)
  old = np.asarray(item.invars[place].val).astype(item.invars[place].aval.dtype)
  is_float = np.issubdtype(old.dtype, np.floating)
  new = old * old.dtype.type(1.0001) if is_float and source.random() < 0.5 else old + old.dtype.type(1)
  operands = list(item.invars)
  operands[place] = core.Literal(np.asarray(new).astype(old.dtype), item.invars[place].aval)
  return item.replace(invars=operands)


def _swap(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """The two operands in the other order."""
  kinds = [(operand.aval.shape, operand.aval.dtype) for operand in item.invars if hasattr(operand.aval, 'shape')]
  fits = len(item.invars) == 2 and len(kinds) == 2 and kinds[0] == kinds[1]
  return item.replace(invars=item.invars[::-1]) if fits else None


def _primitive(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """Another primitive of the same shape."""
  name = OTHER.get(item.primitive.name)
  if name is None:
    return None
  params = item.params if name.startswith('reduce') else {'accuracy': None} if name in WITH_ACCURACY else \
    {key: value for key, value in item.params.items() if key == 'out_dtype' and name == 'mul'}
  if name == 'mul' and 'out_dtype' not in params and 'out_dtype' in _params_of_mul():
    params = {'out_dtype': None}
  return item.replace(primitive=getattr(jax.lax, f'{name}_p'), params=params)


def _params_of_mul() -> set[str]:
  closed = jax.make_jaxpr(lambda x: x * x)(np.float32(1))
  return set(closed.jaxpr.eqns[0].params)


def _operand(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """Another variable of the same kind."""
  known = [*jaxpr.invars, *jaxpr.constvars, *(variable for other in jaxpr.eqns[:k] for variable in other.outvars)]
  choices = [(place, other) for place, operand in enumerate(item.invars) if not isinstance(operand, core.Literal)
             for other in known if other is not operand and other.aval == operand.aval
             and type(other).__name__ != 'DropVar']
  if not choices:
    return None
  place, other = source.choice(choices)
  return item.replace(invars=[*item.invars[:place], other, *item.invars[place + 1:]])


def _permutation(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """Two axes of the same size exchanged."""
  if item.primitive.name != 'transpose':
    return None
  axes, shape = list(item.params['permutation']), item.invars[0].aval.shape
  pairs = [(a, b) for a in range(len(axes)) for b in range(a) if shape[axes[a]] == shape[axes[b]]]
  if not pairs:
    return None
  a, b = source.choice(pairs)
  axes[a], axes[b] = axes[b], axes[a]
  return item.replace(params={**item.params, 'permutation': tuple(axes)})


def _broadcast(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """Copies along another axis of the same size."""
  if item.primitive.name != 'broadcast_in_dim':
    return None
  shape, dims = item.outvars[0].aval.shape, list(item.params['broadcast_dimensions'])
  choices = []
  for place, old in enumerate(dims):
    for new in range(len(shape)):
      moved = [*dims[:place], new, *dims[place + 1:]]
      if new not in dims and shape[new] == shape[old] and moved == sorted(moved):
        choices.append(moved)
  return item.replace(params={**item.params, 'broadcast_dimensions': tuple(source.choice(choices))}) if choices else None


def _start(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """A slice one element further."""
  if item.primitive.name != 'slice' or item.params['strides'] is not None:
    return None
  sizes, starts, limits = item.invars[0].aval.shape, list(item.params['start_indices']), list(item.params['limit_indices'])
  axes = [axis for axis, size in enumerate(sizes) if limits[axis] < size]
  if not axes:
    return None
  axis = source.choice(axes)
  starts[axis], limits[axis] = starts[axis] + 1, limits[axis] + 1
  return item.replace(params={**item.params, 'start_indices': tuple(starts), 'limit_indices': tuple(limits)})


def _direction(jaxpr: Any, item: Any, k: int, source: random.Random) -> Any:
  """A loop run backwards."""
  if item.primitive.name != 'scan':
    return None
  return item.replace(params={**item.params, 'reverse': not item.params['reverse']})


CHANGES: list[Change] = [_literal, _swap, _primitive, _operand, _permutation, _broadcast, _start, _direction]
