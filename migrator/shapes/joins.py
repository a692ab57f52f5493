"""Joining what two branches of an unknown condition leave behind."""

from __future__ import annotations

import ast
from typing import Any

from . import oracle
from .symbols import SymbolInfo, SymbolTable
from .values import Alternatives, Array, External, Instance, Late, Opaque, Partial, Repeated, Unknown, Value


def join_env(
  left: dict[str, Value], right: dict[str, Value], test: ast.expr | None, table: SymbolTable
) -> dict[str, Value]:
  """Returns the environment after an `if` whose branches left `left` and `right`."""
  joined: dict[str, Value] = {}
  for name in left.keys() | right.keys():
    if name not in left or name not in right:
      joined[name] = left.get(name, right.get(name))
      continue
    joined[name] = join(left[name], right[name], test, table, name)
  return joined


def join(left: Value, right: Value, test: ast.expr | None, table: SymbolTable, name: str = '') -> Value:
  """Returns a value that stands for either of the two."""
  if left is right or _equal(left, right):
    return left
  if isinstance(left, Unknown) or isinstance(right, Unknown):
    return _with_unknown(left, right, table)
  if isinstance(left, Array) and isinstance(right, Array):
    return _arrays(left, right, test, table, name)
  if left is None or right is None:
    return _with_none(left if right is None else right)
  if _is_size(left) and _is_size(right) and (oracle.is_dim(left) or oracle.is_dim(right)):
    return _sizes(_size(left, table), _size(right, table), test, table, name)
  if isinstance(left, Late) or isinstance(right, Late):
    names = frozenset().union(*(value.names for value in (left, right) if isinstance(value, Late)))
    return Late(names, getattr(left, 'text', '') or getattr(right, 'text', ''))
  if isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
    return tuple(join(a, b, test, table, f'{name}_{i}') for i, (a, b) in enumerate(zip(left, right)))
  if isinstance(left, list) and isinstance(right, list):
    return _lists(left, right, test, table, name)
  if isinstance(left, (list, Repeated)) and isinstance(right, (list, Repeated)):
    return Repeated(_either(elements(left) + elements(right)), items=tuple(elements(left) + elements(right)))
  if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
    return {key: join(left[key], right[key], test, table, str(key)) for key in left}
  if isinstance(left, Opaque) and isinstance(right, Opaque):
    return Opaque('', left.kind if left.kind == right.kind else 'any')
  return _few(_either([left, right]), test, table, name)


_MOST_ALTERNATIVES = 4


def _few(value: Value, test: ast.expr | None, table: SymbolTable, name: str) -> Value:
  """Many arrays of one rank become one whose sizes are either: following each would double with every call."""
  if not isinstance(value, Alternatives) or len(value.options) <= _MOST_ALTERNATIVES:
    return value
  first, *others = value.options
  if not all(isinstance(item, Array) and len(item.shape) == len(first.shape) for item in value.options):
    return value
  for other in others:
    first = _arrays(first, other, test, table, name)
  return first


def _is_size(value: Value) -> bool:
  return oracle.is_dim(value) or (
    isinstance(value, Opaque) and value.kind in ('int', 'any') and bool(value.source)
  )


def _size(value: Value, table: SymbolTable) -> Value:
  if not isinstance(value, Opaque):
    return value
  kind = 'field' if value.source.startswith('self.') else 'local'
  return table.new(value.source, SymbolInfo(kind, source=value.source))


def elements(value: Value) -> list[Value]:
  """Returns the elements of a list, tuple or `Repeated` as far as they are known."""
  if isinstance(value, Repeated):
    return list(value.items) or [value.element]
  return list(value)


def _either(options: list[Value]) -> Value:
  flat: list[Value] = []
  for option in options:
    for item in option.options if isinstance(option, Alternatives) else (option,):
      if not any(item is other or _equal(item, other) for other in flat):
        flat.append(item)
  return flat[0] if len(flat) == 1 else Alternatives(tuple(flat))


def _equal(left: Value, right: Value) -> bool:
  if type(left) is not type(right) and not (oracle.is_dim(left) and oracle.is_dim(right)):
    return False
  if oracle.is_dim(left):
    return oracle.same(left, right) is True
  if isinstance(left, Array):
    return (
      len(left.shape) == len(right.shape)
      and left.dtype == right.dtype
      and left.optional == right.optional
      and all(oracle.same(a, b) is True for a, b in zip(left.shape, right.shape))
    )
  if isinstance(left, (tuple, list)):
    return len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right))
  if isinstance(left, dict):
    return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
  if isinstance(left, (str, float, bool, bytes, External, Opaque, type(None))):
    return left == right
  if isinstance(left, Instance):
    return left.creation is not None and left.creation is right.creation
  if isinstance(left, Partial):
    return left.node is not None and left.node is right.node
  return left is right


def _with_unknown(left: Value, right: Value, table: SymbolTable) -> Value:
  unknown, other = (left, right) if isinstance(left, Unknown) else (right, left)
  if isinstance(other, Unknown):
    return other if unknown.soft else unknown
  if unknown.soft and isinstance(other, Array) and other.shape:
    text = f'{unknown.reason}; where it is given, its sizes are taken to be those of what stands for it'
    if text not in table.notes:
      table.notes.append(text)
  return other if unknown.soft else unknown


def _with_none(value: Value) -> Value:
  if isinstance(value, Array):
    return Array(value.shape, value.dtype, optional=True)
  if isinstance(value, Opaque):
    return Opaque(value.source, value.kind, True, value.element, value.default, value.of)
  if isinstance(value, Late):
    return Late(value.names, value.text, optional=True)
  return Alternatives((None, value))


def _sizes(left: Any, right: Any, test: ast.expr | None, table: SymbolTable, name: str) -> Value:
  return table.new(f'{name or "size"}_either', SymbolInfo('phi', test=test, then=left, orelse=right))


def _arrays(left: Array, right: Array, test: ast.expr | None, table: SymbolTable, name: str) -> Value:
  if len(left.shape) != len(right.shape):
    if left.shape and right.shape and oracle.same(left.shape[-1], right.shape[-1]) is True:
      return _either_rank(left, right, table, name)
    return Unknown(
      f'{name or "a value"} has rank {len(left.shape)} or {len(right.shape)}, depending on a condition'
    )
  dims = tuple(
    a if oracle.same(a, b) is True else _sizes(a, b, test, table, f'{name}_{axis}')
    for axis, (a, b) in enumerate(zip(left.shape, right.shape))
  )
  dtype = left.dtype if left.dtype == right.dtype else 'float32'
  return Array(dims, dtype, left.optional or right.optional)


def _either_rank(left: Array, right: Array, table: SymbolTable, name: str) -> Array:
  """Arrays of different ranks with the same last axis: the others have no size that can be written."""
  rank = len(left.shape)
  text = f'{name or "an array"} has {rank} or {len(right.shape)} axes, and {rank} were taken'
  if text not in table.notes:
    table.notes.append(text)
  dims = [table.new(f'{name or "size"}_axis_{axis}', SymbolInfo('opaque')) for axis in range(rank - 1)]
  return Array((*dims, left.shape[-1]), left.dtype, left.optional or right.optional)


def _lists(
  left: list[Value], right: list[Value], test: ast.expr | None, table: SymbolTable, name: str
) -> Value:
  if len(left) == len(right):
    return [join(a, b, test, table, f'{name}_{i}') for i, (a, b) in enumerate(zip(left, right))]
  items = left + right
  return Repeated(_either(items), items=tuple(items))
