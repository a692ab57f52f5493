"""Tuples, lists, dicts, subscripts and unpacking."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from . import oracle
from .expressions import any_of, as_size, evaluate, expression_symbol, handles, variable_value
from .joins import elements, join
from .symbols import SymbolInfo
from .trees import of_tree, tree_of
from .values import (
  Alternatives,
  Array,
  Bound,
  External,
  Late,
  Opaque,
  Repeated,
  Structure,
  Unknown,
  Value,
  VariableTree,
  first_unknown,
)


@dataclasses.dataclass(eq=False)
class Iterated:
  """`zip` or `enumerate` over iterables of which at least one is not fully known."""

  parts: tuple[Value, ...]


@dataclasses.dataclass(eq=False)
class SymbolicRange:
  """`range` with symbolic bounds."""

  bounds: tuple[Value, ...]


def _items(it: Any, nodes: list[ast.expr], frame: Any) -> list[Value] | Repeated | Opaque:
  items: list[Value] = []
  for node in nodes:
    if not isinstance(node, ast.Starred):
      items.append(evaluate(it, node, frame))
      continue
    value = evaluate(it, node.value, frame)
    if isinstance(value, (tuple, list)):
      items.extend(value)
    elif isinstance(value, Repeated):
      return Repeated(value.element, value.loop, (*items, *elements(value)))
    else:
      return Opaque(
        ast.unparse(node), 'sequence', element=value.element if isinstance(value, Opaque) else 'any'
      )
  return items


@handles(ast.Tuple)
def _tuple(it: Any, node: ast.Tuple, frame: Any) -> Value:
  items = _items(it, node.elts, frame)
  return tuple(items) if isinstance(items, list) else items


@handles(ast.List)
def _list(it: Any, node: ast.List, frame: Any) -> Value:
  return _items(it, node.elts, frame)


@handles(ast.Dict)
def _dict(it: Any, node: ast.Dict, frame: Any) -> Value:
  table: dict[Any, Value] = {}
  for key, value in zip(node.keys, node.values):
    item = evaluate(it, value, frame)
    if key is None:
      if isinstance(item, dict):
        table.update(item)
      else:
        table['**'] = item
      continue
    name = evaluate(it, key, frame)
    table[name if isinstance(name, (str, int, float, bool, tuple)) else '*'] = item
  return table


@handles(ast.JoinedStr)
def _joined(it: Any, node: ast.JoinedStr, frame: Any) -> Value:
  parts = []
  for item in node.values:
    if isinstance(item, ast.Constant):
      parts.append(str(item.value))
      continue
    value = evaluate(it, item.value, frame) if isinstance(item, ast.FormattedValue) else None
    if not isinstance(value, (str, int)) or isinstance(value, bool):
      return Opaque(ast.unparse(node), 'str')
    parts.append(str(value))
  return ''.join(parts)


@handles(ast.Set)
def _set(it: Any, node: ast.Set, frame: Any) -> Value:
  return tuple(evaluate(it, item, frame) for item in node.elts)


@handles(ast.Subscript)
def _subscript(it: Any, node: ast.Subscript, frame: Any) -> Value:
  owner = variable_value(evaluate(it, node.value, frame))
  index = evaluate(it, node.slice, frame)
  return subscript(it, owner, index, node)


def subscript(it: Any, owner: Value, index: Value, node: ast.Subscript) -> Value:
  """Returns `owner[index]`."""
  if isinstance(owner, Unknown):
    return owner
  if isinstance(owner, Array):
    return _array_item(owner, index, node)
  if isinstance(owner, Alternatives):
    # An option that is too short is not the one at hand where the item is asked for.
    fitting = tuple(
      option
      for option in owner.options
      if not (
        isinstance(option, (tuple, list))
        and isinstance(index, int)
        and not -len(option) <= index < len(option)
      )
    )
    owner = Alternatives(fitting) if fitting else owner
    return any_of(it, owner, lambda option: subscript(it, option, index, node))
  if isinstance(owner, Repeated):
    return owner if isinstance(index, slice) else owner.element
  if isinstance(owner, Opaque):
    return _opaque_item(it, owner, index, node)
  if isinstance(owner, Late):
    return Late(owner.names, ast.unparse(node))
  if isinstance(owner, Structure):
    return _structure_item(owner, index, node)
  if isinstance(owner, VariableTree):
    return of_tree(it, owner, index, node)
  if isinstance(owner, Bound) and owner.name == 'variables':
    tree = tree_of(it, owner.owner, index)
    if tree is not None:
      return tree
    return Unknown(f'{ast.unparse(node)} may not be there', node.lineno, soft=True)
  if isinstance(owner, External):
    return Opaque(ast.unparse(node), 'any')
  if isinstance(owner, dict):
    return _dict_item(it, owner, index, node)
  try:
    return owner[index]
  except (IndexError, KeyError):
    return Unknown(f'{ast.unparse(node)} is out of range', node.lineno)
  except Exception:
    if isinstance(owner, (tuple, list)) and owner and not isinstance(index, slice):
      return join_elements(it, list(owner), node)
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)


def join_elements(it: Any, items: list[Value], node: ast.expr) -> Value:
  """One of several elements, by an index that is not known."""
  if all(oracle.is_dim(item) for item in items):
    return expression_symbol(it, node)
  result = items[0]
  for item in items[1:]:
    result = join(result, item, None, it.table, 'element')
  return result


def _structure_item(owner: Structure, index: Value, node: ast.Subscript) -> Value:
  """Objects that models return are read by name, or like the tuple of their fields that are not None."""
  if isinstance(index, str):
    return owner.fields.get(index, Unknown(f'{index} is no field of {owner.source.name}', node.lineno))
  present: list[Value] = []
  for value in owner.fields.values():
    if value is None:
      continue
    certain = isinstance(value, Array) and not value.optional
    followed = not isinstance(value, Unknown) or value.reason.endswith('is out of range')
    present.append(
      Unknown('which item it is depends on a condition', node.lineno, soft=True)
      if followed and not certain
      else value
    )
    if not certain:
      break
  if isinstance(index, int) and index < len(present):
    return present[index]
  return Unknown('which item it is depends on a condition', node.lineno, soft=True)


def _dict_item(it: Any, owner: dict[Any, Value], index: Value, node: ast.Subscript) -> Value:
  if isinstance(index, (str, int, bool, float, type(None))) and index in owner:
    return owner[index]
  if owner and not isinstance(index, (str, int)):
    return join_elements(it, list(owner.values()), node)
  return Unknown(f'{ast.unparse(node)} is not in the dict', node.lineno)


def _array_item(owner: Array, index: Value, node: ast.Subscript) -> Value:
  index = _index(index)
  unknown = first_unknown((index,))
  if unknown is not None:
    return unknown
  try:
    return oracle.trace(lambda pair: pair[0][pair[1]], (owner, index), key=('item',))
  except oracle.OracleFailure as error:
    return Unknown(str(error), node.lineno)


def _index(index: Value) -> Value:
  if isinstance(index, tuple):
    return tuple(_index(item) for item in index)
  if isinstance(index, Late):
    return Array((), 'int32')
  if isinstance(index, list):
    return tuple(index) if not all(isinstance(item, int) for item in index) else Array((len(index),), 'int32')
  return variable_value(index)


def _opaque_item(it: Any, owner: Opaque, index: Value, node: ast.Subscript) -> Value:
  if isinstance(index, (slice, Late, Unknown)):
    return Opaque(ast.unparse(node), 'sequence', element=owner.element)
  source = f'{owner.source}[{index!r}]' if isinstance(index, (int, str)) else ast.unparse(node)
  if owner.element == 'int':
    kind = 'field' if source.startswith('self.') else 'local'
    return it.table.new(source, SymbolInfo(kind, source=source))
  return Opaque(source, owner.element)


@handles(ast.Slice)
def _slice(it: Any, node: ast.Slice, frame: Any) -> Value:
  parts = [
    None if part is None else evaluate(it, part, frame) for part in (node.lower, node.upper, node.step)
  ]
  if any(isinstance(part, Opaque) for part in parts):
    parts = [as_size(it, part) for part in parts]
  if any(isinstance(part, (Late, Array)) for part in parts):
    return Unknown('a slice with bounds known only at the call', node.lineno)
  unknown = first_unknown(parts)
  return unknown if unknown is not None else slice(*parts)


def unpack(it: Any, value: Value, target: Any, frame: Any) -> list[Value]:
  """Returns one value per target of an unpacking assignment."""
  count = len(target.elts)
  star = next((i for i, item in enumerate(target.elts) if isinstance(item, ast.Starred)), None)
  if isinstance(value, Alternatives):
    options = [unpack(it, option, target, frame) for option in value.options]
    return [join_elements(it, list(column), target) for column in zip(*options)]
  if isinstance(value, (tuple, list)):
    if star is not None and len(value) >= count - 1:
      after = count - star - 1
      middle = list(value[star : len(value) - after])
      return [*value[:star], middle, *value[len(value) - after :]]
    if len(value) == count:
      return list(value)
    return [Unknown(f'{len(value)} values cannot be unpacked into {count} targets', target.lineno)] * count
  if isinstance(value, Array) and value.shape:
    return [Array(value.shape[1:], value.dtype)] * count
  if isinstance(value, Late):
    return [value] * count
  if isinstance(value, Repeated):
    return list(value.items) if len(value.items) == count else [value.element] * count
  if isinstance(value, Opaque):
    return [_opaque_part(it, value, item, position) for position, item in enumerate(target.elts)]
  if isinstance(value, Unknown):
    return [value] * count
  return [Unknown('an unpacking that could not be followed', target.lineno)] * count


def _opaque_part(it: Any, value: Opaque, target: ast.expr, position: int) -> Value:
  source = f'{value.source}[{position}]'
  if value.element == 'int':
    return it.table.new(source, SymbolInfo('field' if source.startswith('self.') else 'local', source=source))
  return Opaque(source, value.element)
