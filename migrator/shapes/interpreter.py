"""The abstract interpreter: walks statements of a method with symbolic sizes.

Expressions are in `expressions.py`, calls in `calls.py`.  The interpreter never runs user code: it
evaluates the syntax tree over the values of `values.py` and asks the oracle for shapes.
"""
from __future__ import annotations

import ast
import dataclasses
from typing import Any

from . import expressions, oracle
from .events import Recording
from .joins import elements, join, join_env
from .symbols import SymbolInfo, SymbolTable
from .values import Alternatives, Array, Instance, Late, Opaque, Repeated, Unknown, Value

MAX_DEPTH = 14
_MAX_CONCRETE_PASSES = 64


@dataclasses.dataclass
class Frame:
  """One activation of a function.

  env: local variables; module: the source module names resolve in; self_value: the module instance.
  subject: True when creations here belong to the class under analysis.
  path: enclosing compound statements with the branch taken; chain: calls that led here.
  """

  env: dict[str, Value]
  module: Any
  node: ast.AST
  self_value: Instance | None = None
  owner: Any = None
  subject: bool = False
  path: tuple[tuple[ast.AST, str], ...] = ()
  chain: tuple[ast.Call, ...] = ()
  returns: list[Value] = dataclasses.field(default_factory=list)
  depth: int = 0


class Budget(Exception):
  """The class needs more steps than it is worth."""


class Interpreter:
  """Interprets methods of one class.

  project: the `Project` that resolves names.
  record: where creations, uses and values are reported.
  evidence: called with (class name, fields, args, kwargs, method) for every call of a repository module.
  """

  def __init__(self, project: Any, record: Recording, table: SymbolTable, evidence: Any = None, steps: int = 60_000) -> None:
    self.project = project
    self.record = record
    self.table = table
    self.evidence = evidence
    self.recording = True
    self.steps = steps
    self.memory: dict[Any, Value] = {}
    self.active: list[str] = []
    self.module_values: dict[str, Value] = {}

  # -- functions ----------------------------------------------------------------------------

  def run(self, frame: Frame, body: list[ast.stmt]) -> Value:
    """Interprets a function body and returns what it returns."""
    home, self.table.home = self.table.home, frame.subject and not frame.chain
    try:
      ended = self.block(body, frame)
    finally:
      self.table.home = home
    if not ended:
      frame.returns.append(None)
    result = frame.returns[0]
    for other in frame.returns[1:]:
      result = join(result, other, None, self.table, 'result')
    return result

  def block(self, statements: list[ast.stmt], frame: Frame) -> bool:
    """Interprets statements; returns True if the function has ended on every way through."""
    for statement in statements:
      self.steps -= 1
      if self.steps < 0:
        raise Budget('the class is too large to follow')
      method = getattr(self, f'_{type(statement).__name__}', None)
      if method is None:
        self.note_unknown_targets(statement, frame)
        continue
      if method(statement, frame):
        return True
    return False

  # -- statements -----------------------------------------------------------------------------

  def _Expr(self, node: ast.Expr, frame: Frame) -> bool:
    expressions.evaluate(self, node.value, frame)
    return False

  def _Return(self, node: ast.Return, frame: Frame) -> bool:
    frame.returns.append(None if node.value is None else expressions.evaluate(self, node.value, frame))
    return True

  def _Raise(self, node: ast.Raise, frame: Frame) -> bool:
    return True

  def _Assign(self, node: ast.Assign, frame: Frame) -> bool:
    value = expressions.evaluate(self, node.value, frame)
    for target in node.targets:
      self.assign(target, value, frame)
    return False

  def _AnnAssign(self, node: ast.AnnAssign, frame: Frame) -> bool:
    if node.value is not None:
      self.assign(node.target, expressions.evaluate(self, node.value, frame), frame)
    return False

  def _AugAssign(self, node: ast.AugAssign, frame: Frame) -> bool:
    read = ast.copy_location(ast.BinOp(_as_load(node.target), node.op, node.value), node)
    self.assign(node.target, expressions.evaluate(self, read, frame), frame)
    return False

  def _FunctionDef(self, node: ast.FunctionDef, frame: Frame) -> bool:
    frame.env[node.name] = expressions.closure(node, frame)
    return False

  def _Pass(self, node: ast.Pass, frame: Frame) -> bool:
    return False

  _Global = _Nonlocal = _Import = _Pass  # type: ignore[assignment]

  def _ImportFrom(self, node: ast.ImportFrom, frame: Frame) -> bool:
    return False

  def _Assert(self, node: ast.Assert, frame: Frame) -> bool:
    expressions.evaluate(self, node.test, frame)
    self._learn(node.test, frame)
    return False

  def _learn(self, test: ast.expr, frame: Frame) -> None:
    """Nothing is learnt from assertions yet; they hold in the original program too."""

  def _Delete(self, node: ast.Delete, frame: Frame) -> bool:
    for target in node.targets:
      if isinstance(target, ast.Name):
        frame.env.pop(target.id, None)
    return False

  def _With(self, node: ast.With, frame: Frame) -> bool:
    for item in node.items:
      value = expressions.evaluate(self, item.context_expr, frame)
      if item.optional_vars is not None:
        self.assign(item.optional_vars, Unknown('a context manager', node.lineno) if not isinstance(value, Opaque) else value, frame)
    return self._inside(node, 'body', node.body, frame)

  def _Try(self, node: ast.Try, frame: Frame) -> bool:
    ended = self._inside(node, 'body', node.body, frame)
    return ended and not node.handlers

  def _If(self, node: ast.If, frame: Frame) -> bool:
    answer = expressions.truth(self, expressions.evaluate(self, node.test, frame))
    if answer is True:
      return self._inside(node, 'body', node.body, frame)
    if answer is False:
      return self._inside(node, 'orelse', node.orelse, frame)
    return self._both(node, frame)

  def _inside(self, node: ast.AST, branch: str, body: list[ast.stmt], frame: Frame) -> bool:
    saved = frame.path
    frame.path = (*saved, (node, branch))
    ended = self.block(body, frame)
    frame.path = saved
    return ended

  def _both(self, node: ast.If, frame: Frame) -> bool:
    before = frame.env
    attributes = dict(frame.self_value.attributes) if frame.self_value else {}
    frame.env = copy_env(narrow(node.test, True, before))
    body_ended = self._inside(node, 'body', node.body, frame)
    body_env, body_attributes = frame.env, dict(frame.self_value.attributes) if frame.self_value else {}
    if frame.self_value:
      frame.self_value.attributes = dict(attributes)
    frame.env = copy_env(narrow(node.test, False, before))
    else_ended = self._inside(node, 'orelse', node.orelse, frame)
    if frame.self_value:
      frame.self_value.attributes = join_env(body_attributes, frame.self_value.attributes, node.test, self.table)
    if body_ended and else_ended:
      return True
    if body_ended:
      return False
    frame.env = body_env if else_ended else join_env(body_env, frame.env, node.test, self.table)
    return False

  # -- loops ------------------------------------------------------------------------------------

  def _For(self, node: ast.For, frame: Frame) -> bool:
    iterable = expressions.evaluate(self, node.iter, frame)
    if isinstance(iterable, Unknown) and self.recording and frame.subject and makes_modules(node.body):
      self.record.refusals.append((node.lineno, f'the loop runs over a value that could not be followed: {iterable.reason}'))
    passes = concrete_passes(iterable)
    if passes is not None and not makes_modules(node.body) and len(passes) <= _MAX_CONCRETE_PASSES:
      return self._concrete_loop(node, passes, frame)
    bind = lambda: self.assign(node.target, loop_element(self, iterable, node.target, node), frame)
    self._widen(node, frame, bind)
    return self.block(node.orelse, frame) if node.orelse else False

  def _While(self, node: ast.While, frame: Frame) -> bool:
    expressions.evaluate(self, node.test, frame)
    self._widen(node, frame, lambda: None)
    return False

  def _concrete_loop(self, node: ast.For, passes: list[Value], frame: Frame) -> bool:
    for value in passes:
      self.assign(node.target, value, frame)
      if self._inside(node, 'body', node.body, frame) and frame.env.pop('<break>', None) is None:
        return True
    return self.block(node.orelse, frame) if node.orelse else False

  def _widen(self, node: ast.For | ast.While, frame: Frame, bind: Any) -> None:
    """First passes find what changes from pass to pass; the last one is recorded."""
    entry = copy_env(frame.env)
    carried: dict[str, Value] = {}
    recording = self.recording
    exit_env = entry
    for attempt in range(4):
      frame.env = copy_env({**entry, **carried})
      self.recording = False
      bind()
      self._inside(node, 'body', node.body, frame)
      exit_env = frame.env
      changes = self._changes(entry, carried, exit_env, node)
      if not changes:
        break
      carried.update(changes)
    self.recording = recording
    frame.env = copy_env({**entry, **carried})
    bind()
    self._inside(node, 'body', node.body, frame)
    exit_env = frame.env
    self._close(node, entry, carried, exit_env)
    frame.env = after_loop(entry, carried, exit_env)

  def _changes(self, entry: dict[str, Value], carried: dict[str, Value], after: dict[str, Value], node: ast.AST) -> dict[str, Value]:
    changes = {}
    for name, before in entry.items():
      now = after.get(name, before)
      start = carried.get(name, before)
      if now is start:
        continue
      widened = widen(self, name, start, now, node)
      if widened is not None:
        changes[name] = widened
    return changes

  def _close(self, node: ast.AST, entry: dict[str, Value], carried: dict[str, Value], after: dict[str, Value]) -> None:
    for name, value in carried.items():
      close_carried(self.table, entry.get(name), value, after.get(name), node)

  def _Break(self, node: ast.Break, frame: Frame) -> bool:
    frame.env['<break>'] = True
    return True

  def _Continue(self, node: ast.Continue, frame: Frame) -> bool:
    return True

  # -- assignment ----------------------------------------------------------------------------

  def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
    """Binds the target to the value."""
    if isinstance(target, ast.Name):
      frame.env[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
      self._unpack(target, value, frame)
    elif isinstance(target, ast.Attribute):
      self._set_attribute(target, value, frame)
    elif isinstance(target, ast.Subscript):
      self._set_item(target, value, frame)
    elif isinstance(target, ast.Starred):
      self.assign(target.value, value, frame)

  def _unpack(self, target: ast.Tuple | ast.List, value: Value, frame: Frame) -> None:
    items = expressions.unpack(self, value, target, frame)
    for item, part in zip(target.elts, items):
      self.assign(item, part, frame)

  def _set_attribute(self, target: ast.Attribute, value: Value, frame: Frame) -> None:
    owner = expressions.evaluate(self, target.value, frame)
    if isinstance(owner, Instance):
      owner.attributes[target.attr] = value
      expressions.note_attribute(owner, target.attr, value)
      return
    if target.attr == 'value':
      return
    if not isinstance(owner, (Opaque, Unknown)):
      self.note_unknown_targets(target, frame)

  def _set_item(self, target: ast.Subscript, value: Value, frame: Frame) -> None:
    owner = expressions.evaluate(self, target.value, frame)
    index = expressions.evaluate(self, target.slice, frame)
    if isinstance(owner, dict) and isinstance(index, (str, int)):
      owner[index] = value
    elif isinstance(owner, dict):
      owner.clear()
      owner['*'] = value
    elif isinstance(owner, list) and isinstance(index, int) and -len(owner) <= index < len(owner):
      owner[index] = value

  def note_unknown_targets(self, node: ast.AST, frame: Frame) -> None:
    for child in ast.walk(node):
      if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
        frame.env[child.id] = Unknown(f'a {type(node).__name__} statement is not followed', getattr(node, 'lineno', 0))


def narrow(test: ast.expr, answer: bool, env: dict[str, Value]) -> dict[str, Value]:
  """Returns the environment with what the condition says about `x is None` applied."""
  if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
    return narrow(test.operand, not answer, env)
  if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and answer:
    for value in test.values:
      env = narrow(value, True, env)
    return env
  if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.left, ast.Name)
          and isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None):
    return env
  is_none = isinstance(test.ops[0], (ast.Is, ast.Eq)) == answer
  value = env.get(test.left.id)
  if is_none and isinstance(value, (Array, Unknown, Late)) and (isinstance(value, Unknown) or value.optional):
    return {**env, test.left.id: None}
  if not is_none and isinstance(value, Array) and value.optional:
    return {**env, test.left.id: Array(value.shape, value.dtype)}
  if not is_none and isinstance(value, Opaque) and value.optional:
    return {**env, test.left.id: dataclasses.replace(value, optional=False)}
  if not is_none and isinstance(value, Alternatives):
    rest = tuple(option for option in value.options if option is not None)
    return {**env, test.left.id: rest[0] if len(rest) == 1 else Alternatives(rest)}
  return env


def copy_env(env: dict[str, Value]) -> dict[str, Value]:
  """Copies lists and dicts, so that branches do not see each other's changes; aliases stay aliases."""
  memory: dict[int, Value] = {}
  return {name: _copy(value, memory) for name, value in env.items()}


def _copy(value: Value, memory: dict[int, Value]) -> Value:
  if id(value) in memory:
    return memory[id(value)]
  if isinstance(value, list):
    memory[id(value)] = new = []
    new.extend(_copy(item, memory) for item in value)
    return new
  if isinstance(value, dict):
    memory[id(value)] = table = {}
    table.update({key: _copy(item, memory) for key, item in value.items()})
    return table
  return value


def _as_load(target: ast.expr) -> ast.expr:
  copy = ast.parse(ast.unparse(target), mode='eval').body
  for node in ast.walk(copy):
    ast.copy_location(node, target)
  return copy


# -- loops: what an iterable yields, what changes from pass to pass -----------------------------


def makes_modules(body: list[ast.stmt]) -> bool:
  """Tells whether the loop body may create or call modules: capitalised calls, `self.x(...)`, calls of calls."""
  for statement in body:
    for node in ast.walk(statement):
      if isinstance(node, ast.Call):
        name = node.func
        if isinstance(name, ast.Call) or (isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id == 'self'):
          return True
        text = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ''
        if text[:1].isupper() or isinstance(name, ast.Subscript):
          return True
  return False


def concrete_passes(iterable: Value) -> list[Value] | None:
  """Returns the elements of an iterable that is fully known, else None."""
  if isinstance(iterable, range):
    return list(iterable)
  if isinstance(iterable, (tuple, list)):
    return list(iterable)
  if isinstance(iterable, dict) and '*' not in iterable:
    return list(iterable)
  return None


def loop_element(it: Interpreter, iterable: Value, target: ast.expr, loop: ast.AST) -> Value:
  """Returns the value a loop variable stands for in any pass."""
  if isinstance(iterable, expressions.Iterated):
    parts = iterable.parts
    targets = target.elts if isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == len(parts) else [target] * len(parts)
    return tuple(loop_element(it, part, sub, loop) for part, sub in zip(parts, targets))
  if isinstance(iterable, Repeated):
    return iterable.element
  if isinstance(iterable, (Unknown, Late)):
    return iterable
  if isinstance(iterable, (range, expressions.SymbolicRange)):
    return _local(it, target, loop)
  if isinstance(iterable, Opaque):
    return _opaque_element(it, iterable, target, loop)
  if isinstance(iterable, Array):
    return Array(iterable.shape[1:], iterable.dtype) if iterable.shape else Unknown('iterating a scalar', loop.lineno)  # type: ignore[attr-defined]
  if isinstance(iterable, dict):
    return Opaque(_text(target), 'str')
  if isinstance(iterable, (tuple, list)):
    return _common(it, list(iterable), target, loop)
  return Unknown('a loop over something that could not be followed', getattr(loop, 'lineno', 0))


def _common(it: Interpreter, items: list[Value], target: ast.expr, loop: ast.AST) -> Value:
  if not items:
    return Unknown('a loop over an empty list', getattr(loop, 'lineno', 0))
  if all(oracle.is_dim(item) for item in items):
    return _local(it, target, loop)
  if all(isinstance(item, (tuple, list)) and len(item) == len(items[0]) for item in items):
    targets = target.elts if isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == len(items[0]) else [target] * len(items[0])
    return tuple(_common(it, [item[i] for item in items], sub, loop) for i, sub in enumerate(targets))
  if all(item is None or isinstance(item, (bool, float, str)) for item in items):
    kinds = {type(item).__name__ for item in items if item is not None}
    return Opaque(_text(target), kinds.pop() if len(kinds) == 1 else 'any', any(item is None for item in items))
  result = items[0]
  for item in items[1:]:
    result = join(result, item, None, it.table, _text(target))
  return result


def _local(it: Interpreter, target: ast.expr, loop: ast.AST) -> Value:
  if not isinstance(target, ast.Name):
    return Opaque(_text(target), 'int')
  return it.table.new(target.id, SymbolInfo('local', source=target.id, loop=loop))


def _opaque_element(it: Interpreter, iterable: Opaque, target: ast.expr, loop: ast.AST) -> Value:
  if isinstance(target, (ast.Tuple, ast.List)):
    return tuple(_opaque_element(it, iterable, item, loop) for item in target.elts)
  if iterable.element in ('int', 'any') and iterable.kind != 'str':
    return _local(it, target, loop) if iterable.element == 'int' else Opaque(_text(target), 'any')
  return Opaque(_text(target), iterable.element)


def _text(node: ast.expr) -> str:
  return ast.unparse(node)


def widen(it: Interpreter, name: str, start: Value, now: Value, loop: ast.AST) -> Value | None:
  """Returns what stands for a variable in every pass, or None if it does not change."""
  if isinstance(now, Array) and isinstance(start, Array) and len(now.shape) == len(start.shape):
    dims = tuple(_widen_dim(it, f'{name}_{_axis_name(axis, len(now.shape))}', a, b, loop)
                 for axis, (a, b) in enumerate(zip(start.shape, now.shape)))
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
  if isinstance(joined, Alternatives) and isinstance(start, Alternatives) and len(joined.options) == len(start.options):
    same = True
  if isinstance(start, (Unknown, Late)) or (isinstance(start, Opaque) and isinstance(joined, Opaque)):
    same = True
  return None if same else joined


def join_all(it: Interpreter, items: list[Value]) -> Value:
  if not items:
    return Unknown('an empty list', 0, soft=True)
  result = items[0]
  for item in items[1:]:
    result = join(result, item, None, it.table, 'element')
  return result


def _axis_name(axis: int, rank: int) -> str:
  return 'features' if axis == rank - 1 else f'size{axis}'


def _widen_dim(it: Interpreter, name: str, start: Any, now: Any, loop: ast.AST) -> Any:
  if oracle.same(start, now) is True:
    return start
  info = it.table.info(str(start)) if oracle.is_symbolic(start) else None
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
  info = table.info(str(dim)) if oracle.is_symbolic(dim) else None
  if info is not None and info.kind == 'carried' and info.loop is loop:
    table.update(str(dim), update=after)


def after_loop(entry: dict[str, Value], carried: dict[str, Value], after: dict[str, Value]) -> dict[str, Value]:
  """Returns the environment after the loop: carried variables keep their symbols."""
  result = dict(after)
  for name, value in carried.items():
    result[name] = value
  return result
