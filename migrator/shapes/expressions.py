"""Evaluating expressions over abstract values: names, attributes, and the table of handlers.

Operators are in `operators.py`, comparisons in `conditions.py`, containers in `containers.py`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

from . import oracle
from .frames import Frame
from .joins import elements, join
from .symbols import SymbolInfo
from .values import (
  Alternatives,
  Array,
  Bound,
  ClassRef,
  Closure,
  External,
  Instance,
  Late,
  Opaque,
  Partial,
  Repeated,
  Structure,
  Unknown,
  Value,
  VariableRef,
)

_HANDLERS: dict[type, Callable[..., Value]] = {}


def handles(*kinds: type) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
  """Registers a function as the one that evaluates these kinds of expressions."""

  def register(function: Callable[..., Value]) -> Callable[..., Value]:
    for kind in kinds:
      _HANDLERS[kind] = function
    return function

  return register


def evaluate(it: Any, node: ast.expr, frame: Any) -> Value:
  """Returns the abstract value of an expression and reports it."""
  handler = _HANDLERS.get(type(node))
  value = (
    handler(it, node, frame) if handler else Unknown(f'{type(node).__name__} is not followed', node.lineno)
  )
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


@handles(ast.Constant)
def _constant(it: Any, node: ast.Constant, frame: Any) -> Value:
  return node.value


@handles(ast.Name)
def _name(it: Any, node: ast.Name, frame: Any) -> Value:
  if node.id in frame.env:
    return frame.env[node.id]
  return lookup(it, frame, node.id, node)


def lookup(it: Any, frame: Any, dotted: str, node: ast.AST) -> Value:
  """Returns the value of a global name."""
  qualified = resolved(it, frame, dotted)
  if qualified is None:
    return Unknown(f'{dotted} is not known here', getattr(node, 'lineno', 0))
  return global_value(it, qualified, node)


def resolved(it: Any, frame: Frame, dotted: str) -> str | None:
  """Returns the qualified name of a global, asked once per function."""
  scope = frame.node if isinstance(frame.node, ast.FunctionDef) else None
  key = (id(frame.module), dotted, id(scope))
  if key not in it.names:
    it.names[key] = it.project.resolve(frame.module, dotted, scope)
  return it.names[key]


def global_value(it: Any, qualified: str, node: ast.AST) -> Value:
  """Returns the value of a qualified name."""
  if ':' not in qualified:
    return External(qualified)
  found = it.project.classes.get(qualified)
  if found is not None:
    return ClassRef(found)
  module_name, name = qualified.split(':', 1)
  owner, dot, attribute_name = name.rpartition('.')
  if dot and f'{module_name}:{owner}' in it.project.classes:
    return _class_attribute(
      it, ClassRef(it.project.classes[f'{module_name}:{owner}']), attribute_name, getattr(node, 'lineno', 0)
    )
  module = it.project.modules.get(module_name)
  if module is None or '.' in name:
    return Unknown(f'{qualified} is not followed', getattr(node, 'lineno', 0))
  if name in module.functions:
    return Closure(module.functions[name], module)
  if name in module.assignments:
    return _module_value(it, qualified, module, module.assignments[name])
  return Unknown(f'{qualified} has no single definition', getattr(node, 'lineno', 0))


def _module_value(it: Any, qualified: str, module: Any, node: ast.expr) -> Value:
  if qualified not in it.module_values:
    it.module_values[qualified] = Unknown(f'{qualified} refers to itself', node.lineno)
    frame = Frame({}, module, module.tree, subject=False)
    it.module_values[qualified] = evaluate(it, node, frame)
  return it.module_values[qualified]


@functools.cache
def dotted_text(node: ast.expr) -> str | None:
  """Returns 'a.b.c' for a chain of attributes, else None."""
  parts: list[str] = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  return '.'.join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


@handles(ast.Attribute)
def _attribute(it: Any, node: ast.Attribute, frame: Any) -> Value:
  text = dotted_text(node)
  if text is not None and text.split('.')[0] not in frame.env:
    qualified = resolved(it, frame, text)
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
    return any_of(it, owner, lambda option: attribute(it, option, name, node, frame))
  if isinstance(owner, Late):
    return Late(owner.names, f'{owner.text}.{name}')
  if isinstance(owner, Structure):
    return (
      owner.fields[name]
      if name in owner.fields
      else Unknown(f'.{name} of {owner.source.name} is not followed', line)
    )
  if isinstance(owner, Partial) and name in ('func', 'args', 'keywords'):
    return {'func': owner.function, 'args': owner.args, 'keywords': owner.kwargs}[name]
  if type(owner).__name__ in ('finfo', 'iinfo'):
    return Opaque(ast.unparse(node) if isinstance(node, ast.expr) else name, 'float')
  if type(owner).__module__.startswith(('jax', 'numpy', 'ml_dtypes')) and hasattr(owner, name):
    return getattr(owner, name)
  return Bound(owner, name)


def any_of(it: Any, owner: Alternatives, function: Any) -> Value:
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


def variable_value(value: Value) -> Value:
  return value.value if isinstance(value, VariableRef) else value


def closure(node: ast.FunctionDef | ast.Lambda, frame: Any) -> Closure:
  return Closure(node, frame.module, frame.env, frame.self_value, frame.owner, local=True)


@handles(ast.Lambda)
def _lambda(it: Any, node: ast.Lambda, frame: Any) -> Value:
  return closure(node, frame)


@handles(ast.Starred)
def _starred(it: Any, node: ast.Starred, frame: Any) -> Value:
  return evaluate(it, node.value, frame)


@handles(ast.NamedExpr)
def _named(it: Any, node: ast.NamedExpr, frame: Any) -> Value:
  value = evaluate(it, node.value, frame)
  it.assign(node.target, value, frame)
  return value


@handles(ast.Call)
def _call(it: Any, node: ast.Call, frame: Any) -> Value:
  from .calls import evaluate_call

  return evaluate_call(it, node, frame)


def note_attribute(owner: Instance, name: str, value: Value) -> None:
  """Remembers the attribute a module was stored under, which is its Linen name in `setup`."""
  parts = elements(value) if isinstance(value, (list, tuple, Repeated)) else [value]
  for part in [option for item in parts for option in (item.options if isinstance(item, Alternatives) else (item,))]:
    if isinstance(part, Instance) and part.creation is not None and part.field is None:
      part.field = name
