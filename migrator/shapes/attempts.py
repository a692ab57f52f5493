"""Values to try for the arguments of a method: as observed calls have them, then arrays of guessed ranks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from . import oracle
from .hypotheses import Parameter
from .keys import NoKey, memory_key
from .symbols import SymbolInfo
from .values import Array, Late, Opaque, Unknown, Value

_RANKS = (3, 4, 2, 1, 5)


@dataclasses.dataclass(frozen=True)
class Attempt:
  """Argument values to try.

  note: what is taken for granted with them.
  """

  values: dict[str, Value]
  note: str = ''

  @property
  def ranks(self) -> tuple[Any, ...]:
    """The ranks of the arrays, by argument: attempts that differ in shared sizes alone have the same."""
    return tuple((name, len(value.shape)) for name, value in self.values.items() if isinstance(value, Array))


def attempts(
  it: Any, method: str, listed: list[Parameter], evidence: list[dict[str, Value]]
) -> Iterator[Attempt]:
  """Yields what to try, the most trustworthy first and none twice."""
  seen: set[Any] = set()
  for attempt in _plausible(it, method, listed, evidence):
    try:
      key = memory_key(attempt.values)
    except NoKey:
      key = len(seen)
    if key not in seen:
      seen.add(key)
      yield attempt


def _plausible(
  it: Any, method: str, listed: list[Parameter], evidence: list[dict[str, Value]]
) -> Iterator[Attempt]:
  names = [parameter.name for parameter in listed if parameter.role == 'array']
  followed = [
    call
    for call in evidence
    if not any(isinstance(call.get(name), Unknown) and not call[name].soft for name in names)
  ]
  for call in followed[:3]:
    yield from _observed(it, method, listed, call)
  for values in _guessed(it, method, listed):
    yield Attempt(values)


def _observed(it: Any, method: str, listed: list[Parameter], call: dict[str, Value]) -> Iterator[Attempt]:
  """Yields the arguments of a call: each with a width of its own, and the widths as the caller has them.

  That a caller gives two arguments the same width ties them only if the method cannot do without.
  """
  as_called = from_evidence(it, method, listed, call)
  widths: dict[str, list[str]] = {}
  for parameter in listed:
    value = as_called[parameter.name]
    if _has_width(value):
      widths.setdefault(str(value.shape[-1]), []).append(parameter.name)
  tied = [names for names in widths.values() if len(names) > 1]
  if not tied:
    yield Attempt(as_called)
    return
  yield Attempt(from_evidence(it, method, listed, call, tied=False))
  texts = [f'{", ".join(names[:-1])} and {names[-1]}' for names in tied]
  yield Attempt(as_called, note=f'{"; ".join(texts)} were taken to have one width, as in the calls of the repository')


def _has_width(value: Value) -> bool:
  return isinstance(value, Array) and len(value.shape) > 1 and value.dtype.startswith(('float', 'bfloat'))


def _guessed(it: Any, method: str, listed: list[Parameter]) -> Iterator[dict[str, Value]]:
  """Yields arrays of every rank, with more and more sizes that they share."""
  arrays = [parameter for parameter in listed if parameter.role == 'array' and parameter.dtype != 'key']
  ranks: tuple[int, ...] = _RANKS
  if arrays and all(parameter.rank for parameter in arrays):
    ranks = (arrays[0].rank or 3,)
  # Sizes are taken to be shared only where the code fails without: a shared size is written for both.
  shared = ('batch', 'middle', 'all') if len(arrays) > 1 else ('middle',)
  tries = list(itertools.product(ranks, shared))
  if len(arrays) > 1 and len(ranks) > 1:
    tries.insert(len(shared), (2, shared[0]))  # vectors: the commonest of what is left
    tries.remove((4, shared[0]))
    tries.insert(len(shared), (4, shared[0]))
  for rank, same in dict.fromkeys(tries):
    if rank == 4 and same == shared[0] and len(arrays) > 1:
      yield from _images(it, method, listed, arrays)
    yield {parameter.name: _guess(it, method, parameter, rank, arrays, same) for parameter in listed}
    if arrays and any(parameter.role == 'optional' for parameter in listed):
      yield {parameter.name: _present(it, method, parameter, rank, arrays[0])
             if parameter.role == 'optional' else _guess(it, method, parameter, rank, arrays, same)
             for parameter in listed}
    if any('mask' in parameter.name for parameter in arrays[1:]):
      yield {
        parameter.name: Unknown(f'argument {parameter.name} may be None', 0, soft=True)
        if parameter.role == 'array' and 'mask' in parameter.name and parameter is not arrays[0]
        else _guess(it, method, parameter, rank, arrays, same)
        for parameter in listed
      }


def _guess(
  it: Any, method: str, parameter: Parameter, rank: int, arrays: list[Parameter], same: str
) -> Value:
  if parameter.role == 'flag':
    return Late(frozenset({parameter.name}), parameter.name, parameter.optional)
  if parameter.role == 'optional' and (parameter.rank is None or parameter.rank == 0):
    return Unknown(f'argument {parameter.name} may be absent', 0, soft=True)
  if parameter.dtype == 'key':
    return Array((), 'key')
  rank = parameter.rank or (min(rank, 2) if parameter.dtype == 'int32' or 'mask' in parameter.name else rank)
  first = arrays[0]
  dims = []
  for axis in range(rank):
    last = axis == rank - 1
    shares = same == 'all' or (same == 'middle' and not last)
    owner = first if shares and first.rank in (None, rank) else parameter
    if axis == 0 and not last:
      owner = first
    dims.append(input_symbol(it, method, owner.name, axis, rank))
  return Array(tuple(dims), parameter.dtype, optional=parameter.role == 'optional')


def _images(
  it: Any, method: str, listed: list[Parameter], arrays: list[Parameter]
) -> Iterator[dict[str, Value]]:
  """Yields images with what they are conditioned on: vectors, and then sequences behind them."""
  first = arrays[0]
  if first.rank not in (None, 4) or first.dtype == 'int32':
    return
  for tail in ((2, 2), (2, 3), (3, 3)):
    ranks = {parameter.name: tail[min(place, 1)] for place, parameter in enumerate(arrays[1:])}
    batch = input_symbol(it, method, first.name, 0, 4)
    guesses = {
      parameter.name: _guess(it, method, parameter, ranks.get(parameter.name, 4), [parameter], 'batch')
      for parameter in listed
    }
    yield {name: _with_batch(value, batch) for name, value in guesses.items()}


def _with_batch(value: Value, batch: Any) -> Value:
  if not isinstance(value, Array) or len(value.shape) < 2:
    return value
  return dataclasses.replace(value, shape=(batch, *value.shape[1:]))


def _present(it: Any, method: str, parameter: Parameter, rank: int, first: Parameter) -> Value:
  """Returns an optional array as one that is there; what looks like ids or a mask has the leading sizes of the input."""
  small = parameter.dtype == 'int32' or 'mask' in parameter.name
  own = parameter.rank or (min(rank, 2) if small else rank)
  first_rank = first.rank or (min(rank, 2) if first.dtype == 'int32' or 'mask' in first.name else rank)
  dims = []
  for axis in range(own):
    shared = axis < first_rank and (axis == 0 or small)
    dims.append(input_symbol(it, method, first.name if shared else parameter.name, axis, first_rank if shared else own))
  return Array(tuple(dims), parameter.dtype, optional=True)


def input_symbol(it: Any, method: str, argument: str, axis: int, rank: int) -> Any:
  """Returns the symbol for one axis of a call argument."""
  info = SymbolInfo('input', argument=argument, axis=axis, rank=rank, method=method)
  return it.table.new(f'{argument}_{axis - rank if axis == rank - 1 else axis}'.replace('-1', 'last'), info)


def from_evidence(
  it: Any, method: str, listed: list[Parameter], call: dict[str, Value], tied: bool = True
) -> dict[str, Value]:
  """Returns argument values shaped like an observed call, in symbols of this class.

  tied: whether the last axes of two arguments are one size where the call gives them the same.
  """
  seen: dict[str, Any] = {}
  return {
    parameter.name: _translate(it, method, parameter, call.get(parameter.name), parameter.name in call, seen, tied)
    for parameter in listed
  }


def _translate(
  it: Any, method: str, parameter: Parameter, value: Value, given: bool, seen: dict[str, Any],
  tied: bool = True,
) -> Value:
  if isinstance(value, Array):
    rank = len(value.shape)
    dims = []
    for axis, dim in enumerate(value.shape):
      key = str(dim) if oracle.is_symbolic(dim) else f'{dim}@{axis - rank}'
      if not tied and axis == rank - 1 and _has_width(value):
        key = f'{key} of {parameter.name}'
      if key not in seen:
        seen[key] = input_symbol(it, method, parameter.name, axis, rank)
      dims.append(seen[key])
    return Array(tuple(dims), value.dtype, parameter.optional or value.optional)
  if parameter.role == 'flag':
    return Late(frozenset({parameter.name}), parameter.name, parameter.optional)
  if isinstance(value, (tuple, list)) and value and all(isinstance(item, Array) for item in value):
    inner = [
      _translate(it, method, dataclasses.replace(parameter, name=f'{parameter.name}'), item, True, {})
      for item in value
    ]
    return type(value)(
      Array(
        tuple(it.table.new(f'{parameter.name}_{i}', SymbolInfo('opaque')) for i in range(len(item.shape))),
        item.dtype,
      )
      for item in inner
    )
  if parameter.role == 'optional' or value is None:
    return Unknown(f'argument {parameter.name} may be absent', 0, soft=True)
  if isinstance(value, Opaque) and value.kind in ('bool', 'float', 'str', 'int', 'callable'):
    return Late(frozenset({parameter.name}), parameter.name)
  return value if isinstance(value, Unknown) else Unknown(f'argument {parameter.name} is no array', 0)
