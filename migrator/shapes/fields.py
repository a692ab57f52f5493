"""The symbolic value of a dataclass field, from its annotation and default."""

from __future__ import annotations

import ast
from typing import Any

from .symbols import SymbolInfo
from .values import ClassRef, External, Opaque, Partial, Value

_CALLABLE = (
  'init',
  'act',
  'activation',
  'activation_fn',
  'act_fn',
  'nonlinearity',
  'fn',
  'func',
  'initializer',
)
_SEQUENCES = ('Sequence', 'Tuple', 'List', 'tuple', 'list', 'Iterable')


def field_value(it: Any, field: Any, source: str) -> Value:
  """Returns the value of a field that the analysis does not know more about.

  it: the interpreter (names are resolved in the module of the field's owner).
  field: the `Field`; source: the expression that reads it ('self.features').
  """
  default = _default(it, field)
  annotation, optional = _strip_optional(_annotation(field.annotation))
  optional = optional or _is_none(field.default)
  kind, element, arity, of = _kind(it, annotation, field)
  if kind == 'any':
    kind = _kind_of_default(default, field.name)
  if kind == 'int' and not optional:
    return it.table.new(source, SymbolInfo('field', source=source))
  if arity and element == 'int':
    return tuple(
      it.table.new(f'{source}[{i}]', SymbolInfo('field', source=f'{source}[{i}]')) for i in range(arity)
    )
  if (
    isinstance(default, (External, ClassRef, Partial))
    and kind in ('any', 'module', 'callable')
    and _makes_modules(default)
  ):
    return default
  if isinstance(default, tuple) and kind in ('any', 'sequence'):
    return Opaque(
      source, 'sequence', optional, element if element != 'any' else _element_of(default), default
    )
  return Opaque(source, kind, optional, element, default, of)


def _makes_modules(default: Value) -> bool:
  from . import oracle

  if isinstance(default, Partial):
    return _makes_modules(default.function)
  if isinstance(default, ClassRef):
    return default.source.is_linen
  return oracle.is_linen_class(default.name)


def _default(it: Any, field: Any) -> Value:
  from .expressions import evaluate
  from .frames import Frame

  if field.default is None or field.default_factory:
    return None
  recording, it.recording = it.recording, False
  value = evaluate(it, field.default, Frame({}, field.owner.module, field.owner.node))
  it.recording = recording
  return value


def _annotation(node: ast.expr | None) -> ast.expr | None:
  if isinstance(node, ast.Constant) and isinstance(node.value, str):
    try:
      return ast.parse(node.value, mode='eval').body
    except SyntaxError:
      return None
  return node


def _is_none(node: ast.expr | None) -> bool:
  return isinstance(node, ast.Constant) and node.value is None


def _last(node: ast.expr | None) -> str:
  if isinstance(node, ast.Attribute):
    return node.attr
  return node.id if isinstance(node, ast.Name) else ''


def _strip_optional(node: ast.expr | None) -> tuple[ast.expr | None, bool]:
  if isinstance(node, ast.Subscript) and _last(node.value) == 'Optional':
    return _annotation(node.slice), True
  if isinstance(node, ast.Subscript) and _last(node.value) == 'Union' and isinstance(node.slice, ast.Tuple):
    rest = [item for item in node.slice.elts if not _is_none(item)]
    return (rest[0] if len(rest) == 1 else None), len(rest) < len(node.slice.elts)
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
    parts = [node.left, node.right]
    rest = [item for item in parts if not _is_none(item)]
    return (rest[0] if len(rest) == 1 else None), len(rest) < 2
  return node, False


def _kind(it: Any, node: ast.expr | None, field: Any) -> tuple[str, str, int, str | None]:
  """Returns (kind, kind of elements, fixed length or 0, qualified class name)."""
  name = _last(node.value) if isinstance(node, ast.Subscript) else _last(node)
  if name in ('int', 'float', 'bool', 'str'):
    return name, 'any', 0, None
  if 'dtype' in name.lower() or field.name in ('dtype', 'param_dtype'):
    return 'dtype', 'any', 0, None
  if name in _SEQUENCES:
    return ('sequence', *_sequence(node), None)
  if name in ('Callable', 'Initializer') or field.name.endswith(_CALLABLE):
    return 'callable', 'any', 0, None
  if name == 'ndarray' or name == 'Array':
    return 'object', 'any', 0, None
  if node is not None and not isinstance(node, ast.Subscript):
    return _class_kind(it, node, field)
  return 'any', 'any', 0, None


def _sequence(node: ast.expr | None) -> tuple[str, int]:
  if not isinstance(node, ast.Subscript):
    return 'any', 0
  parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
  fixed = _last(node.value) in ('Tuple', 'tuple') and not any(
    isinstance(p, ast.Constant) and p.value is Ellipsis for p in parts
  )
  names = {_last(part) for part in parts if not isinstance(part, ast.Constant)}
  element = names.pop() if len(names) == 1 else 'any'
  return (element if element in ('int', 'float', 'bool', 'str') else 'any'), (len(parts) if fixed else 0)


def _class_kind(it: Any, node: ast.expr, field: Any) -> tuple[str, str, int, str | None]:
  from .expressions import dotted_text

  text = dotted_text(node)
  qualified = it.project.resolve(field.owner.module, text) if text else None
  if qualified == 'flax.linen.Module':
    return 'module', 'any', 0, None
  found = it.project.classes.get(qualified) if qualified else None
  if found is None:
    return 'any', 'any', 0, None
  return ('module' if found.is_linen else 'object'), 'any', 0, qualified


def _kind_of_default(default: Value, name: str) -> str:
  for kind, types in (('bool', bool), ('int', int), ('float', float), ('str', str), ('sequence', tuple)):
    if isinstance(default, types):
      return kind
  return 'callable' if name.endswith(_CALLABLE) else 'any'


def _element_of(default: tuple[Value, ...]) -> str:
  kinds = {type(item).__name__ for item in default}
  kind = kinds.pop() if len(kinds) == 1 else 'any'
  return kind if kind in ('int', 'float', 'bool', 'str') else 'any'
