"""Evaluating expressions over abstract values."""
from __future__ import annotations

import ast
import dataclasses
import operator
from typing import Any

from . import oracle
from .joins import elements, join
from .symbols import SymbolInfo
from .values import (Alternatives, Array, Bound, ClassRef, Closure, External, Instance, Late, Opaque, Partial, Repeated,
                     Unknown, Value, VariableRef, contains, first_unknown)

_BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
           ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.MatMult: operator.matmul,
           ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
           ast.BitXor: operator.xor}
_UNARY = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_, ast.Invert: operator.invert}
_COMPARE = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}


@dataclasses.dataclass(eq=False)
class Iterated:
  """`zip` or `enumerate` over iterables of which at least one is not fully known."""

  parts: tuple[Value, ...]


@dataclasses.dataclass(eq=False)
class SymbolicRange:
  """`range` with symbolic bounds."""

  bounds: tuple[Value, ...]


def evaluate(it: Any, node: ast.expr, frame: Any) -> Value:
  """Returns the abstract value of an expression and reports it."""
  handler = _HANDLERS.get(type(node))
  value = handler(it, node, frame) if handler else Unknown(f'{type(node).__name__} is not followed', node.lineno)
  if it.recording and frame.subject:
    it.record.values.setdefault(id(node), []).append(value)
  return value


def truth(it: Any, value: Value) -> bool | None:
  """Returns the truth of a value, None if it is not known."""
  if isinstance(value, (bool, int, float, str, type(None), tuple, list, dict)):
    return bool(value)
  if isinstance(value, (Instance, External, ClassRef, Closure, Partial)):
    return True
  return None


# -- leaves ---------------------------------------------------------------------------------


def _constant(it: Any, node: ast.Constant, frame: Any) -> Value:
  return node.value


def _name(it: Any, node: ast.Name, frame: Any) -> Value:
  if node.id in frame.env:
    return frame.env[node.id]
  return lookup(it, frame, node.id, node)


def lookup(it: Any, frame: Any, dotted: str, node: ast.AST) -> Value:
  """Returns the value of a global name."""
  qualified = it.project.resolve(frame.module, dotted, frame.node if isinstance(frame.node, ast.FunctionDef) else None)
  if qualified is None:
    return Unknown(f'{dotted} is not known here', getattr(node, 'lineno', 0))
  return global_value(it, qualified, node)


def global_value(it: Any, qualified: str, node: ast.AST) -> Value:
  """Returns the value of a qualified name."""
  if ':' not in qualified:
    return External(qualified)
  found = it.project.classes.get(qualified)
  if found is not None:
    return ClassRef(found)
  module_name, name = qualified.split(':', 1)
  module = it.project.modules.get(module_name)
  if module is None or '.' in name:
    return Unknown(f'{qualified} is not followed', getattr(node, 'lineno', 0))
  if name in module.functions:
    return Closure(module.functions[name], module)
  if name in module.assignments:
    return _module_value(it, qualified, module, module.assignments[name])
  return Unknown(f'{qualified} has no single definition', getattr(node, 'lineno', 0))


def _module_value(it: Any, qualified: str, module: Any, node: ast.expr) -> Value:
  from .interpreter import Frame
  if qualified not in it.module_values:
    it.module_values[qualified] = Unknown(f'{qualified} refers to itself', node.lineno)
    frame = Frame({}, module, module.tree, subject=False)
    it.module_values[qualified] = evaluate(it, node, frame)
  return it.module_values[qualified]


def dotted_text(node: ast.expr) -> str | None:
  """Returns 'a.b.c' for a chain of attributes, else None."""
  parts: list[str] = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  return '.'.join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _attribute(it: Any, node: ast.Attribute, frame: Any) -> Value:
  text = dotted_text(node)
  if text is not None and text.split('.')[0] not in frame.env:
    qualified = it.project.resolve(frame.module, text, frame.node if isinstance(frame.node, ast.FunctionDef) else None)
    if qualified is not None:
      return global_value(it, qualified, node)
  owner = evaluate(it, node.value, frame)
  return attribute(it, owner, node.attr, node, frame)


def attribute(it: Any, owner: Value, name: str, node: ast.AST, frame: Any) -> Value:
  """Returns `owner.name`."""
  line = getattr(node, 'lineno', 0)
  if isinstance(owner, Unknown):
    return owner
  if isinstance(owner, Array):
    return _array_attribute(it, owner, name, line)
  if isinstance(owner, Instance):
    from .modules import instance_attribute
    return instance_attribute(it, owner, name, node, frame)
  if isinstance(owner, Opaque):
    return opaque_attribute(it, owner, name)
  if isinstance(owner, VariableRef):
    return owner.value if name == 'value' else Bound(owner, name)
  if isinstance(owner, External):
    return External(f'{owner.name}.{name}')
  if isinstance(owner, ClassRef):
    return _class_attribute(it, owner, name, line)
  if isinstance(owner, Alternatives):
    return _any_of(it, owner, lambda option: attribute(it, option, name, node, frame))
  if isinstance(owner, Late):
    return Late(owner.names, f'{owner.text}.{name}')
  if isinstance(owner, Partial) and name in ('func', 'args', 'keywords'):
    return {'func': owner.function, 'args': owner.args, 'keywords': owner.kwargs}[name]
  return Bound(owner, name)


def _any_of(it: Any, owner: Alternatives, function: Any) -> Value:
  results = [function(option) for option in owner.options if option is not None]
  value = results[0]
  for other in results[1:]:
    value = join(value, other, None, it.table, 'either')
  return value


def _array_attribute(it: Any, array: Array, name: str, line: int) -> Value:
  if name == 'shape':
    return array.shape
  if name == 'ndim':
    return len(array.shape)
  if name == 'dtype':
    return External('jax.numpy.bool_' if array.dtype == 'bool' else f'jax.numpy.{array.dtype}')
  if name in ('size', 'T', 'mT', 'real', 'imag'):
    try:
      return oracle.trace(lambda x: getattr(x, name), array, key=('attribute', name))
    except oracle.OracleFailure as error:
      return Unknown(str(error), line)
  return Bound(array, name)


def _class_attribute(it: Any, owner: ClassRef, name: str, line: int) -> Value:
  for source in owner.source.mro:
    if name in source.own_methods:
      return Closure(source.own_methods[name].node, source.module, owner=source)
    if name in source.constants:
      return Opaque(f'{owner.source.node.name}.{name}')
  return Unknown(f'{owner.source.name}.{name} is not followed', line)


def opaque_attribute(it: Any, owner: Opaque, name: str) -> Value:
  """Returns an attribute of an object whose content is not known (a config)."""
  source = f'{owner.source}.{name}'
  field = None
  described = it.project.classes.get(owner.of) if owner.of else None
  if described is not None:
    field = described.fields.get(name)
  if field is not None:
    from .fields import field_value
    return field_value(it, field, source)
  if name in ('dtype', 'param_dtype'):
    return Opaque(source, 'dtype')
  return Opaque(source, 'any')


# -- operators ------------------------------------------------------------------------------


def _binop(it: Any, node: ast.BinOp, frame: Any) -> Value:
  left, right = evaluate(it, node.left, frame), evaluate(it, node.right, frame)
  return binary(it, type(node.op), left, right, node)


def binary(it: Any, op: type, left: Value, right: Value, node: ast.expr) -> Value:
  """Returns `left op right`."""
  if isinstance(left, Alternatives):
    return _any_of(it, left, lambda option: binary(it, op, option, right, node))
  if isinstance(right, Alternatives):
    return _any_of(it, right, lambda option: binary(it, op, left, option, node))
  unknown = first_unknown((left, right))
  if unknown is not None:
    return _soft(unknown, left, right)
  left, right = _variable(left), _variable(right)
  if isinstance(left, Array) or isinstance(right, Array):
    return _array_binary(it, op, left, right, node)
  if isinstance(left, Late) or isinstance(right, Late):
    return _late((left, right), node)
  if isinstance(left, (Opaque,)) or isinstance(right, Opaque):
    return _opaque_binary(it, op, left, right, node)
  if isinstance(left, (list, tuple, Repeated)) and isinstance(right, (list, tuple, Repeated)) and op is ast.Add:
    if isinstance(left, Repeated) or isinstance(right, Repeated):
      items = elements(left) + elements(right)
      return Repeated(items[-1], None, tuple(items))
  try:
    return _BINARY[op](left, right)
  except Exception:
    if oracle.is_dim(left) and oracle.is_dim(right):
      return expression_symbol(it, node)
    if isinstance(left, (int, float)) or isinstance(right, (int, float)) or oracle.is_symbolic(left):
      return Opaque(ast.unparse(node), 'float' if op is ast.Div else 'any')
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)


def _variable(value: Value) -> Value:
  return value.value if isinstance(value, VariableRef) else value


def _soft(unknown: Unknown, left: Value, right: Value) -> Value:
  """An operation with an operand that may be absent keeps the shape of the other one only at a join."""
  return unknown


def _array_binary(it: Any, op: type, left: Value, right: Value, node: ast.expr) -> Value:
  values = tuple(Array(()) if isinstance(value, Late) or (isinstance(value, Opaque) and value.kind != 'int') else value
                 for value in (left, right))
  try:
    return oracle.trace(lambda pair: _BINARY[op](pair[0], pair[1]), values, key=('binary', op.__name__))
  except oracle.OracleFailure as error:
    if op is not ast.MatMult and all(isinstance(value, Array) for value in values):
      unified = unify(it, values, node.lineno)
      if unified is not None:
        return unified
    return Unknown(str(error), node.lineno)


def unify(it: Any, arrays: Any, line: int) -> Array | None:
  """Returns the result of an elementwise operation whose operands only fit if their sizes are equal.

  The original program fails where they are not, so taking them as equal changes nothing that runs.
  """
  rank = max(len(array.shape) for array in arrays)
  shapes = [(1,) * (rank - len(array.shape)) + tuple(array.shape) for array in arrays]
  dims = []
  for column in zip(*shapes):
    choices = [dim for dim in column if not (isinstance(dim, int) and dim == 1)]
    fixed = [dim for dim in choices if isinstance(dim, int)]
    if len(set(fixed)) > 1:
      return None
    dims.append(fixed[0] if fixed else (min(choices, key=lambda dim: preference(it, dim)) if choices else 1))
  if it.recording and not any(note[0] == line and note[1].startswith('the operands') for note in it.record.notes):
    it.record.notes.append((line, 'the operands are added or multiplied, so their sizes were taken as equal'))
  return Array(tuple(dims), arrays[0].dtype)


def preference(it: Any, dim: Any) -> tuple[int, int, str]:
  """Sizes known from fields are preferred to sizes of inputs, short expressions to long ones."""
  import re
  order = {'field': 0, 'local': 1, 'carried': 2, 'input': 3, 'phi': 4, 'opaque': 6}
  infos = [it.table.info(name) for name in re.findall(r'[A-Za-z]\w*', str(dim)) if name not in ('floordiv', 'mod', 'max', 'min')]
  worst = max((order.get(info.kind, 5) if info is not None else 5 for info in infos), default=0)
  return (worst, len(str(dim)), str(dim))


def _late(values: tuple[Value, ...], node: ast.expr) -> Late:
  names = frozenset().union(*(value.names for value in values if isinstance(value, Late)))
  return Late(names, ast.unparse(node))


def _opaque_binary(it: Any, op: type, left: Value, right: Value, node: ast.expr) -> Value:
  pair = tuple(as_size(it, value) if _may_be_int(value) else value for value in (left, right))
  if op is not ast.Div and all(oracle.is_dim(value) for value in pair):
    try:
      return _BINARY[op](*pair)
    except Exception:
      return expression_symbol(it, node)
  if isinstance(left, (tuple, list)) or isinstance(right, (tuple, list)):
    return Opaque(ast.unparse(node), 'sequence', element='int')
  kind = 'str' if isinstance(left, str) or isinstance(right, str) else 'float'
  return Opaque(ast.unparse(node), kind)


def _may_be_int(value: Value) -> bool:
  return isinstance(value, Opaque) and value.kind in ('any', 'int')


def as_size(it: Any, value: Value) -> Value:
  """Returns a symbolic size for an opaque integer; other values are returned as they are."""
  if isinstance(value, Opaque) and value.kind in ('any', 'int') and value.source:
    kind = 'field' if value.source.startswith('self.') else 'local'
    return it.table.new(value.source, SymbolInfo(kind, source=value.source))
  return value


def expression_symbol(it: Any, node: ast.expr) -> Value:
  """Returns a symbol for an integer expression that symbols cannot express; its text is its source."""
  text = ast.unparse(node)
  return it.table.new(text, SymbolInfo('local', source=text))


def _unary(it: Any, node: ast.UnaryOp, frame: Any) -> Value:
  value = _variable(evaluate(it, node.operand, frame))
  if isinstance(value, Unknown):
    return value
  if isinstance(value, Late):
    return _late((value,), node)
  if isinstance(node.op, ast.Not):
    answer = truth(it, value)
    return (not answer) if answer is not None else Opaque(ast.unparse(node), 'bool')
  if isinstance(value, Opaque):
    value = as_size(it, value)
    if isinstance(value, Opaque):
      return Opaque(ast.unparse(node), value.kind)
  if isinstance(value, Array):
    return value
  try:
    return _UNARY[type(node.op)](value)
  except Exception:
    return Unknown(f'{ast.unparse(node)} is not followed', node.lineno)


def _boolop(it: Any, node: ast.BoolOp, frame: Any) -> Value:
  values = []
  for item in node.values:
    value = evaluate(it, item, frame)
    answer = truth(it, value)
    if isinstance(node.op, ast.Or) and answer is True and not values:
      return value
    if isinstance(node.op, ast.And) and answer is False:
      return value
    if answer is None or isinstance(value, (Late, Opaque)):
      values.append(value)
    elif isinstance(node.op, ast.Or) and answer is True:
      values.append(value)
      break
  if not values:
    return value
  if any(isinstance(value, Late) for value in values):
    return _late(tuple(values), node)
  if isinstance(node.op, ast.Or) and len(values) > 1 and not all(isinstance(value, Opaque) and value.kind == 'bool' for value in values):
    return _or_value(it, values, node)
  return values[0] if len(values) == 1 and len(node.values) == 1 else Opaque(ast.unparse(node), 'bool')


def _or_value(it: Any, values: list[Value], node: ast.BoolOp) -> Value:
  """`self.out or x.shape[-1]`: the first value if it is true."""
  sizes = [as_size(it, value) for value in values]
  if all(oracle.is_dim(size) for size in sizes):
    result = sizes[-1]
    for size, test in zip(reversed(sizes[:-1]), reversed(node.values[:-1])):
      result = it.table.new('size_or', SymbolInfo('phi', test=test, then=size, orelse=result))
    return result
  last = values[-1]
  return last if not isinstance(last, Opaque) else Opaque(ast.unparse(node), 'any')


def _compare(it: Any, node: ast.Compare, frame: Any) -> Value:
  left = evaluate(it, node.left, frame)
  values = [left]
  answers: list[Any] = []
  for op, comparator in zip(node.ops, node.comparators):
    right = evaluate(it, comparator, frame)
    values.append(right)
    answers.append(compare(op, left, right))
    left = right
  if any(answer is False for answer in answers):
    return False
  if all(answer is True for answer in answers):
    return True
  if contains(tuple(values), Late):
    return _late(tuple(value for value in values if isinstance(value, Late)), node)
  arrays = [value for value in values if isinstance(value, Array)]
  if arrays and not isinstance(node.ops[0], (ast.Is, ast.IsNot, ast.In, ast.NotIn)):
    result = binary(it, ast.Add, values[0], values[1], node)
    return dataclasses.replace(result, dtype='bool') if isinstance(result, Array) else result
  return Opaque(ast.unparse(node), 'bool')


def compare(op: ast.cmpop, left: Value, right: Value) -> bool | None:
  """Returns the answer of a comparison, None if it is not known."""
  if isinstance(op, (ast.Is, ast.IsNot)):
    answer = _identity(left, right)
  elif isinstance(op, (ast.Eq, ast.NotEq)):
    answer = _equality(left, right)
  elif isinstance(op, (ast.In, ast.NotIn)):
    answer = _membership(left, right)
  else:
    return _order(op, left, right)
  if answer is None:
    return None
  return answer != isinstance(op, (ast.IsNot, ast.NotEq, ast.NotIn))


def _identity(left: Value, right: Value) -> bool | None:
  if left is None and right is None:
    return True
  if right is None or left is None:
    other = left if right is None else right
    if isinstance(other, (Unknown, Alternatives)):
      return None
    if isinstance(other, (Array, Opaque, Late)):
      return None if other.optional or (isinstance(other, Opaque) and other.kind == 'any') else False
    return False
  if isinstance(left, bool) and isinstance(right, bool):
    return left is right
  if isinstance(left, (External, ClassRef)) and isinstance(right, type(left)):
    return left == right or getattr(left, 'source', 0) is getattr(right, 'source', 1)
  return None


def _equality(left: Value, right: Value) -> bool | None:
  if oracle.is_dim(left) and oracle.is_dim(right):
    return oracle.same(left, right)
  if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
    if len(left) != len(right):
      return False
    answers = [_equality(a, b) for a, b in zip(left, right)]
    return False if False in answers else (None if None in answers else True)
  plain = (str, float, int, bool, type(None))
  if isinstance(left, plain) and isinstance(right, plain):
    return left == right
  if isinstance(left, External) and isinstance(right, External):
    return True if left == right else None
  return None


def _membership(left: Value, right: Value) -> bool | None:
  if isinstance(right, dict) and isinstance(left, str) and '*' not in right:
    return left in right
  if isinstance(right, (tuple, list)):
    answers = [_equality(left, item) for item in right]
    return True if True in answers else (None if None in answers else False)
  if isinstance(right, str) and isinstance(left, str):
    return left in right
  return None


def _order(op: ast.cmpop, left: Value, right: Value) -> bool | None:
  if isinstance(left, (Array, Opaque, Late, Unknown)) or isinstance(right, (Array, Opaque, Late, Unknown)):
    return None
  try:
    return bool(_COMPARE[type(op)](left, right))
  except Exception:
    return None


def _ifexp(it: Any, node: ast.IfExp, frame: Any) -> Value:
  from .interpreter import narrow
  answer = truth(it, evaluate(it, node.test, frame))
  if answer is not None:
    return evaluate(it, node.body if answer else node.orelse, frame)
  saved, path = frame.env, frame.path
  frame.env, frame.path = narrow(node.test, True, saved), (*path, (node, 'body'))
  then = evaluate(it, node.body, frame)
  frame.env, frame.path = narrow(node.test, False, saved), (*path, (node, 'orelse'))
  orelse = evaluate(it, node.orelse, frame)
  frame.env, frame.path = saved, path
  if oracle.is_dim(then) or oracle.is_dim(orelse):
    then, orelse = as_size(it, then), as_size(it, orelse)
  return join(then, orelse, node.test, it.table, 'size')


# -- containers -----------------------------------------------------------------------------


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
      return Repeated(value.element, value.loop, tuple([*items, *elements(value)]))
    else:
      return Opaque(ast.unparse(node), 'sequence', element=value.element if isinstance(value, Opaque) else 'any')
  return items


def _tuple(it: Any, node: ast.Tuple, frame: Any) -> Value:
  items = _items(it, node.elts, frame)
  return tuple(items) if isinstance(items, list) else items


def _list(it: Any, node: ast.List, frame: Any) -> Value:
  return _items(it, node.elts, frame)


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


def _subscript(it: Any, node: ast.Subscript, frame: Any) -> Value:
  owner = _variable(evaluate(it, node.value, frame))
  index = evaluate(it, node.slice, frame)
  return subscript(it, owner, index, node)


def subscript(it: Any, owner: Value, index: Value, node: ast.Subscript) -> Value:
  """Returns `owner[index]`."""
  if isinstance(owner, Unknown):
    return owner
  if isinstance(owner, Array):
    return _array_item(owner, index, node)
  if isinstance(owner, Alternatives):
    return _any_of(it, owner, lambda option: subscript(it, option, index, node))
  if isinstance(owner, Repeated):
    return owner if isinstance(index, slice) else owner.element
  if isinstance(owner, Opaque):
    return _opaque_item(it, owner, index, node)
  if isinstance(owner, Late):
    return Late(owner.names, ast.unparse(node))
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
  return _variable(index)


def _opaque_item(it: Any, owner: Opaque, index: Value, node: ast.Subscript) -> Value:
  if isinstance(index, (slice, Late, Unknown)):
    return Opaque(ast.unparse(node), 'sequence', element=owner.element)
  source = f'{owner.source}[{index!r}]' if isinstance(index, (int, str)) else ast.unparse(node)
  if owner.element == 'int':
    kind = 'field' if source.startswith('self.') else 'local'
    return it.table.new(source, SymbolInfo(kind, source=source))
  return Opaque(source, owner.element)


def _slice(it: Any, node: ast.Slice, frame: Any) -> Value:
  parts = [None if part is None else evaluate(it, part, frame) for part in (node.lower, node.upper, node.step)]
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
      middle = list(value[star:len(value) - after])
      return [*value[:star], middle, *value[len(value) - after:]]
    if len(value) == count:
      return list(value)
    return [Unknown(f'{len(value)} values cannot be unpacked into {count} targets', target.lineno)] * count
  if isinstance(value, Array) and value.shape:
    return [Array(value.shape[1:], value.dtype)] * count
  if isinstance(value, Late):
    return [value] * count
  if isinstance(value, Repeated):
    return (list(value.items) if len(value.items) == count else [value.element] * count)
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


# -- functions, comprehensions ---------------------------------------------------------------


def closure(node: ast.FunctionDef | ast.Lambda, frame: Any) -> Closure:
  return Closure(node, frame.module, frame.env, frame.self_value, frame.owner, local=True)


def _lambda(it: Any, node: ast.Lambda, frame: Any) -> Value:
  return closure(node, frame)


def _comprehension(it: Any, node: Any, frame: Any) -> Value:
  from .interpreter import concrete_passes, copy_env, loop_element, makes_modules
  saved, path = frame.env, frame.path
  generator = node.generators[0]
  iterable = evaluate(it, generator.iter, frame)
  passes = concrete_passes(iterable)
  body = ast.Expr(node.value if isinstance(node, ast.DictComp) else node.elt)
  ast.copy_location(body, node)
  if passes is not None and len(node.generators) == 1 and not generator.ifs and not makes_modules([body]):
    return _concrete_comprehension(it, node, passes, frame)
  frame.env = copy_env(saved)
  frame.path = (*path, (node, 'body'))
  for clause in node.generators:
    iterable = evaluate(it, clause.iter, frame)
    it.assign(clause.target, loop_element(it, iterable, clause.target, node), frame)
    for test in clause.ifs:
      evaluate(it, test, frame)
  if isinstance(node, ast.DictComp):
    evaluate(it, node.key, frame)
    element = evaluate(it, node.value, frame)
    frame.env, frame.path = saved, path
    return {'*': element}
  element = evaluate(it, node.elt, frame)
  frame.env, frame.path = saved, path
  return Repeated(element, node)


def _concrete_comprehension(it: Any, node: Any, passes: list[Value], frame: Any) -> Value:
  saved = frame.env
  frame.env = dict(saved)
  items: list[Value] = []
  keys: list[Value] = []
  for value in passes:
    it.assign(node.generators[0].target, value, frame)
    if isinstance(node, ast.DictComp):
      keys.append(evaluate(it, node.key, frame))
      items.append(evaluate(it, node.value, frame))
    else:
      items.append(evaluate(it, node.elt, frame))
  frame.env = saved
  if isinstance(node, ast.DictComp):
    return {key if isinstance(key, (str, int)) else '*': item for key, item in zip(keys, items)}
  return items if not isinstance(node, ast.SetComp) else tuple(items)


def _starred(it: Any, node: ast.Starred, frame: Any) -> Value:
  return evaluate(it, node.value, frame)


def _named(it: Any, node: ast.NamedExpr, frame: Any) -> Value:
  value = evaluate(it, node.value, frame)
  it.assign(node.target, value, frame)
  return value


def _set(it: Any, node: ast.Set, frame: Any) -> Value:
  return tuple(evaluate(it, item, frame) for item in node.elts)


def _call(it: Any, node: ast.Call, frame: Any) -> Value:
  from .calls import evaluate_call
  return evaluate_call(it, node, frame)


def note_attribute(owner: Instance, name: str, value: Value) -> None:
  """Remembers the attribute a module was stored under, which is its Linen name in `setup`."""
  for part in elements(value) if isinstance(value, (list, tuple, Repeated)) else [value]:
    if isinstance(part, Instance) and part.creation is not None and part.field is None:
      part.field = name


_HANDLERS = {
    ast.Constant: _constant, ast.Name: _name, ast.Attribute: _attribute, ast.BinOp: _binop, ast.UnaryOp: _unary,
    ast.BoolOp: _boolop, ast.Compare: _compare, ast.IfExp: _ifexp, ast.Tuple: _tuple, ast.List: _list, ast.Dict: _dict,
    ast.JoinedStr: _joined, ast.Subscript: _subscript, ast.Slice: _slice, ast.Lambda: _lambda, ast.ListComp: _comprehension,
    ast.GeneratorExp: _comprehension, ast.SetComp: _comprehension, ast.DictComp: _comprehension, ast.Starred: _starred,
    ast.NamedExpr: _named, ast.Set: _set, ast.Call: _call,
}
