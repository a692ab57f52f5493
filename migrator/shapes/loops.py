"""Loops: what an iterable yields, and what changes from pass to pass."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from typing import Any

from . import oracle
from .containers import Iterated, SymbolicRange
from .joins import elements, join
from .symbols import SymbolInfo, SymbolTable
from .values import Alternatives, Array, Late, Opaque, Repeated, Unknown, Value


def makes_modules(body: list[ast.stmt]) -> bool:
  """Tells whether a loop may create or call modules: capitalised calls, `self.x(...)`, calls of calls."""
  return any(_may_make_modules(statement) for statement in body)


@functools.cache
def _may_make_modules(statement: ast.AST) -> bool:
  return any(_is_module_call(node) for node in ast.walk(statement))


def _is_module_call(node: ast.AST) -> bool:
  if not isinstance(node, ast.Call):
    return False
  name = node.func
  if isinstance(name, (ast.Call, ast.Subscript)):
    return True
  if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id == 'self':
    return True
  text = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ''
  return text[:1].isupper()


def concrete_passes(iterable: Value) -> list[Value] | None:
  """Returns the elements of an iterable that is fully known, else None."""
  if isinstance(iterable, range):
    return list(iterable)
  if isinstance(iterable, (tuple, list)):
    return list(iterable)
  if isinstance(iterable, dict) and '*' not in iterable:
    return list(iterable)
  return None


def length_of(it: Any, iterable: Value) -> Any:
  """Returns the number of elements of an iterable as a size, None if it is not known."""
  if isinstance(iterable, (tuple, list, range)):
    return len(iterable)
  if isinstance(iterable, SymbolicRange) and len(iterable.bounds) == 1 and oracle.is_dim(iterable.bounds[0]):
    return iterable.bounds[0]
  if isinstance(iterable, Array) and iterable.shape:
    return iterable.shape[0]
  if isinstance(iterable, Repeated):
    return iterable.length
  if isinstance(iterable, Opaque) and iterable.source.startswith('self.'):
    text = f'len({iterable.source})'
    return it.table.new(text, SymbolInfo('field', source=text))
  if isinstance(iterable, Iterated):
    lengths = [length_of(it, part) for part in iterable.parts if not isinstance(part, range)]
    return lengths[0] if len(lengths) == 1 else None
  return None


def loop_element(it: Any, iterable: Value, target: ast.expr, loop: ast.AST) -> Value:
  """Returns the value a loop variable stands for in any pass."""
  if isinstance(iterable, Iterated):
    parts = iterable.parts
    targets = (
      target.elts
      if isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == len(parts)
      else [target] * len(parts)
    )
    return tuple(loop_element(it, part, sub, loop) for part, sub in zip(parts, targets))
  if isinstance(iterable, Repeated):
    return iterable.element
  if isinstance(iterable, (Unknown, Late)):
    return iterable
  if isinstance(iterable, (range, SymbolicRange)):
    return _local(it, target, loop)
  if isinstance(iterable, Opaque):
    return _opaque_element(it, iterable, target, loop)
  if isinstance(iterable, Array):
    if iterable.shape:
      return Array(iterable.shape[1:], iterable.dtype)
    return Unknown('iterating a scalar', getattr(loop, 'lineno', 0))
  if isinstance(iterable, dict):
    return Opaque(_text(target), 'str')
  if isinstance(iterable, (tuple, list)):
    return _common(it, list(iterable), target, loop)
  return Unknown('a loop over something that could not be followed', getattr(loop, 'lineno', 0))


def _common(it: Any, items: list[Value], target: ast.expr, loop: ast.AST) -> Value:
  if not items:
    return Unknown('a loop over an empty list', getattr(loop, 'lineno', 0))
  if all(oracle.is_dim(item) for item in items):
    return _local(it, target, loop)
  if all(isinstance(item, (tuple, list)) and len(item) == len(items[0]) for item in items):
    targets = (
      target.elts
      if isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == len(items[0])
      else [target] * len(items[0])
    )
    return tuple(_common(it, [item[i] for item in items], sub, loop) for i, sub in enumerate(targets))
  if all(item is None or isinstance(item, (bool, float, str)) for item in items):
    kinds = {type(item).__name__ for item in items if item is not None}
    return Opaque(
      _text(target), kinds.pop() if len(kinds) == 1 else 'any', any(item is None for item in items)
    )
  result = items[0]
  for item in items[1:]:
    result = join(result, item, None, it.table, _text(target))
  return result


def _local(it: Any, target: ast.expr, loop: ast.AST) -> Value:
  if not isinstance(target, ast.Name):
    return Opaque(_text(target), 'int')
  return it.table.new(target.id, SymbolInfo('local', source=target.id, loop=loop))


def _opaque_element(it: Any, iterable: Opaque, target: ast.expr, loop: ast.AST) -> Value:
  if isinstance(target, (ast.Tuple, ast.List)):
    return tuple(_opaque_element(it, iterable, item, loop) for item in target.elts)
  if iterable.element in ('int', 'any') and iterable.kind != 'str':
    return _local(it, target, loop) if iterable.element == 'int' else Opaque(_text(target), 'any')
  return Opaque(_text(target), iterable.element)


def _text(node: ast.expr) -> str:
  return ast.unparse(node)


def widen(it: Any, name: str, start: Value, now: Value, loop: ast.AST) -> Value | None:
  """Returns what stands for a variable in every pass, or None if it does not change."""
  if isinstance(now, Array) and isinstance(start, Array) and len(now.shape) == len(start.shape):
    dims = tuple(
      _widen_dim(it, f'{name}_{_axis_name(axis, len(now.shape))}', a, b, loop)
      for axis, (a, b) in enumerate(zip(start.shape, now.shape))
    )
    changed = any(a is not b for a, b in zip(dims, start.shape)) or now.optional != start.optional
    return Array(dims, now.dtype, start.optional or now.optional) if changed else None
  if oracle.is_dim(now) and oracle.is_dim(start):
    dim = _widen_dim(it, name, start, now, loop)
    return None if dim is start else dim
  if isinstance(start, list) and isinstance(now, list) and len(now) != len(start):
    return Repeated(join_all(it, now), loop, tuple(now))
  if isinstance(start, Repeated) and isinstance(now, (list, Repeated)):
    found = [item for item in elements(now) if not any(item is old for old in elements(start))]
    fresh = [item for item in found if not isinstance(item, Array)]
    return Repeated(join_all(it, [*elements(start), *fresh]), loop, (*start.items, *fresh)) if fresh else None
  if isinstance(start, (tuple, list)) and isinstance(now, (tuple, list)) and len(start) == len(now):
    parts = [widen(it, f'{name}_{i}', a, b, loop) for i, (a, b) in enumerate(zip(start, now))]
    if all(part is None for part in parts):
      return None
    return type(start)(old if part is None else part for old, part in zip(start, parts))
  joined = join(start, now, None, it.table, name)
  same = joined is start or (isinstance(joined, (bool, str, float, type(None))) and joined == start)
  if (
    isinstance(joined, Alternatives)
    and isinstance(start, Alternatives)
    and len(joined.options) == len(start.options)
  ):
    same = True
  if isinstance(start, (Unknown, Late)) or (isinstance(start, Opaque) and isinstance(joined, Opaque)):
    same = True
  return None if same else joined


def join_all(it: Any, items: list[Value]) -> Value:
  if not items:
    return Unknown('an empty list', 0, soft=True)
  result = items[0]
  for item in items[1:]:
    result = join(result, item, None, it.table, 'element')
  return result


def _axis_name(axis: int, rank: int) -> str:
  return 'features' if axis == rank - 1 else f'size{axis}'


def _widen_dim(it: Any, name: str, start: Any, now: Any, loop: ast.AST) -> Any:
  if oracle.same(start, now) is True or it.table.must_agree(start, now):
    return start
  info = it.table.info(oracle.text_of(start)) if oracle.is_symbolic(start) else None
  if info is not None and info.kind == 'carried' and info.loop is loop:
    return start
  return it.table.new(name, SymbolInfo('carried', source=name, loop=loop, entry=start))


def close_carried(table: SymbolTable, before: Value, start: Value, now: Value, loop: ast.AST) -> None:
  """Writes down how a carried size changes in one pass."""
  if isinstance(start, Array) and isinstance(now, Array):
    for dim, after in zip(start.shape, now.shape):
      _close_dim(table, dim, after, loop)
  elif oracle.is_dim(start) and oracle.is_dim(now):
    _close_dim(table, start, now, loop)
  elif isinstance(start, (tuple, list)) and isinstance(now, (tuple, list)):
    for a, b in zip(start, now):
      close_carried(table, None, a, b, loop)


def _close_dim(table: SymbolTable, dim: Any, after: Any, loop: ast.AST) -> None:
  info = table.info(oracle.text_of(dim)) if oracle.is_symbolic(dim) else None
  if info is not None and info.kind == 'carried' and info.loop is loop:
    table.update(oracle.text_of(dim), update=after)


def after_loop(
  carried: dict[str, Value], after: dict[str, Value], table: SymbolTable, loop: ast.AST, ran: bool
) -> dict[str, Value]:
  """Returns the environment after the loop: carried variables keep their symbols.

  ran: the loop surely ran, so a size that every pass sets anew has that value.
  """
  result = dict(after)
  for name, value in carried.items():
    result[name] = _settled(value, table, loop) if ran else value
  return result


def _settled(value: Value, table: SymbolTable, loop: ast.AST) -> Value:
  if isinstance(value, Array):
    return dataclasses.replace(value, shape=tuple(_settled(dim, table, loop) for dim in value.shape))
  info = table.info(oracle.text_of(value)) if oracle.is_symbolic(value) else None
  if info is None or info.kind != 'carried' or info.loop is not loop or not oracle.is_dim(info.update):
    return value
  names = re.findall(r'[A-Za-z]\w*', str(info.update))
  inner = (table.info(name) for name in names)
  # A choice may hang on the pass: only the carried variable itself tells what was chosen last.
  return (
    value
    if any(item is not None and (item.loop is not None or item.kind == 'phi') for item in inner)
    else info.update
  )
