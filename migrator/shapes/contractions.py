"""Contractions whose operands only fit if sizes are equal that JAX cannot prove equal."""
from __future__ import annotations

from typing import Any

from . import oracle
from .operators import preference
from .values import Array, Dim, Value

# Operands of attention by argument: the axes in front of these are the batch.
_ATTENTION = {
  'query': ('queries', 'heads', 'depth'),
  'key': ('keys', 'heads', 'depth'),
  'value': ('keys', 'heads', 'width'),
  'bias': ('heads', 'queries', 'keys'),
  'mask': ('heads', 'queries', 'keys'),
}
_ATTENTION_FUNCTIONS = {
  'dot_product_attention_weights': ('query', 'key', 'bias', 'mask'),
  'dot_product_attention': ('query', 'key', 'value', 'bias', 'mask'),
}

Places = dict[int | str, list[str]]


def contracted(it: Any, name: str, values: Any, line: int) -> Value | None:
  """Asks for an einsum, a matrix product or an attention again, with one size for every axis the operands share.

  The original program fails where these sizes differ, so taking them as equal changes nothing that runs.
  """
  args, kwargs = values
  labels = _labels(name, args, kwargs)
  if not labels:
    return None
  operands = {place: kwargs[place] if isinstance(place, str) else args[place] for place in labels}
  fitted = _fitted(it, operands, labels)
  if fitted is None:
    return None
  changed = (
    tuple(fitted.get(place, value) for place, value in enumerate(args)),
    {key: fitted.get(key, value) for key, value in kwargs.items()},
  )
  try:
    result = oracle.trace(lambda v: oracle.find(name)(*v[0], **v[1]), changed, key=('function', name))
  except oracle.OracleFailure:
    return None
  it.note(line, f'the operands of {name} are contracted, so their sizes were taken as equal')
  return result


def _labels(name: str, args: Any, kwargs: Any) -> Places:
  """Returns a label per axis of every operand, by its place among the arguments."""
  if name.endswith('.einsum') and args and isinstance(args[0], str):
    return _einsum(args[0], args[1:])
  if name in ('jax.numpy.matmul', 'jax.numpy.dot', 'operator.matmul') and len(args) == 2:
    return _product(args)
  names = _ATTENTION_FUNCTIONS.get(name.rsplit('.', 1)[-1], ()) if name.startswith('flax.linen.') else ()
  given = {**dict(enumerate(args)), **kwargs}
  labels: Places = {}
  for place, value in given.items():
    role = place if isinstance(place, str) else (names[place] if place < len(names) else '')
    if role not in names or not isinstance(value, Array):
      continue
    batch = len(value.shape) - 3
    if batch < 0:
      return {}
    labels[place] = [*(f'.{batch - axis}' for axis in range(batch)), *_ATTENTION[role]]
  return labels


def _einsum(text: str, arrays: Any) -> Places:
  """The axes of `...` are numbered from the last one."""
  terms = text.replace(' ', '').split('->')[0].split(',')
  if len(terms) != len(arrays) or not all(isinstance(array, Array) for array in arrays):
    return {}
  labels: Places = {}
  for place, (term, array) in enumerate(zip(terms, arrays), 1):
    head, dots, tail = term.partition('...')
    free = len(array.shape) - len(head) - len(tail)
    if free < 0 or (free and not dots):
      return {}
    labels[place] = [*head, *(f'.{free - axis}' for axis in range(free)), *tail]
  return labels


def _product(arrays: Any) -> Places:
  """The last axis of the first operand is contracted with the last but one of the second."""
  if not all(isinstance(array, Array) and array.shape for array in arrays):
    return {}
  left, right = (len(array.shape) for array in arrays)
  first = [*(f'.{axis}' for axis in range(left - 2, 0, -1)), *(['row'] if left > 1 else []), 'inner']
  second = [*(f'.{axis}' for axis in range(right - 2, 0, -1)), 'inner', *(['column'] if right > 1 else [])]
  return {0: first, 1: second}


def _fitted(it: Any, operands: dict[int | str, Array], labels: Places) -> dict[int | str, Array] | None:
  """Returns the operands with one size per label; an axis of size 1 is broadcast and stays."""
  found: dict[str, list[Dim]] = {}
  for place, array in operands.items():
    for label, dim in zip(labels[place], array.shape):
      found.setdefault(label, []).append(dim)
  sizes: dict[str, Dim] = {}
  for label, dims in found.items():
    choices = [dim for dim in dims if not (isinstance(dim, int) and dim == 1)] or [1]
    fixed = {dim for dim in choices if isinstance(dim, int)}
    if len(fixed) > 1:
      return None
    sizes[label] = fixed.pop() if fixed else min(choices, key=lambda dim: preference(it, dim))
    it.table.taken_equal(choices)
  return {
    place: Array(
      tuple(
        dim if isinstance(dim, int) and dim == 1 else sizes[label]
        for label, dim in zip(labels[place], array.shape)
      ),
      array.dtype,
    )
    for place, array in operands.items()
  }
