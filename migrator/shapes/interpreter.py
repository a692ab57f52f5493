"""The abstract interpreter: walks statements of a method with symbolic sizes.

Expressions are in `expressions.py` and the files beside it, calls in `calls.py`.  The interpreter never runs
user code: it evaluates the syntax tree over the values of `values.py` and asks the oracle for shapes.
"""

from __future__ import annotations

import ast
from typing import Any

from . import comprehensions, conditions, operators  # noqa: F401  (they register their handlers)
from .containers import unpack
from .environments import copy_env, narrow
from .events import Recording
from .expressions import closure, evaluate, note_attribute, truth
from .frames import Budget, Frame
from .joins import join, join_env
from .last_pass import settled_elsewhere
from .loops import after_loop, close_carried, concrete_passes, loop_element, makes_modules, widen
from .summaries import Noticed
from .symbols import SymbolTable
from .values import Instance, Opaque, Unknown, Value

_MAX_CONCRETE_PASSES = 64


class Interpreter:
  """Interprets methods of one class.

  project: the `Project` that resolves names.
  record: where creations, uses and values are reported.
  evidence: called with (pattern, (instance, args, kwargs, method)) for every call of a repository module.
  summaries: what calls of repository classes gave, for all classes.
  """

  def __init__(
    self,
    project: Any,
    record: Recording,
    table: SymbolTable,
    evidence: Any = None,
    summaries: dict[Any, Any] | None = None,
    steps: int = 8_000,
  ) -> None:
    self.project = project
    self.record = record
    self.table = table
    self.evidence = evidence
    self.recording = True
    self.steps = steps
    self.floor = 0
    self.too_large: set[ast.AST] = set()
    self.divisions: dict[str, Any] = {}
    self.names: dict[tuple[int, str, int], str | None] = {}
    self.memory: dict[Any, tuple[Value, Noticed]] = {}
    self.summaries = {} if summaries is None else summaries
    self.open: list[Noticed] = []
    self.told: dict[int, Noticed] = {}
    self.subject: Instance | None = None
    self.active: list[str] = []
    self.module_values: dict[str, Value] = {}

  def step(self) -> None:
    """Counts one statement or call.

    Raises:
      Budget: the class, or the function that is followed, has used up its steps.
    """
    self.steps -= 1
    if self.steps < self.floor:
      raise Budget('the class is too large to follow')

  # -- what is noticed on the way ------------------------------------------------------------

  def note(self, line: int, text: str) -> None:
    """Writes down an assumption about sizes."""
    self.notice(Noticed(notes=[(line, text)]))

  def notice_call(self, pattern: Any, call: tuple[Any, ...]) -> None:
    """Writes down how a repository class is used: (instance, args, kwargs, method)."""
    self.notice(Noticed(calls={pattern: call}))

  def not_general(self) -> None:
    """Says that the answers under way hang on where they were asked."""
    self.notice(Noticed(general=False))

  def notice(self, noticed: Noticed) -> None:
    """Adds what was noticed to the record and to the call that is followed at present."""
    if self.open:
      self.open[-1].add(noticed)
    if self.recording and id(noticed) not in self.told:
      self.told[id(noticed)] = noticed
      self.record.notes += [item for item in noticed.notes if item not in self.record.notes]
      if self.evidence is not None:
        for pattern, call in noticed.calls.items():
          self.evidence(pattern, call)

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
    if not frame.returns:
      return Unknown('the function only raises', getattr(frame.node, 'lineno', 0))
    result = frame.returns[0]
    for other in frame.returns[1:]:
      result = join(result, other, None, self.table, 'result')
    return result

  def block(self, statements: list[ast.stmt], frame: Frame) -> bool:
    """Interprets statements; returns True if the function has ended on every way through."""
    for statement in statements:
      self.step()
      method = getattr(self, f'_{type(statement).__name__}', None)
      if method is None:
        self.note_unknown_targets(statement, frame)
        continue
      if method(statement, frame):
        return True
    return False

  # -- statements -----------------------------------------------------------------------------

  def _Expr(self, node: ast.Expr, frame: Frame) -> bool:
    evaluate(self, node.value, frame)
    return False

  def _Return(self, node: ast.Return, frame: Frame) -> bool:
    frame.returns.append(None if node.value is None else evaluate(self, node.value, frame))
    return True

  def _Raise(self, node: ast.Raise, frame: Frame) -> bool:
    return True

  def _Assign(self, node: ast.Assign, frame: Frame) -> bool:
    value = evaluate(self, node.value, frame)
    for target in node.targets:
      self.assign(target, value, frame)
    return False

  def _AnnAssign(self, node: ast.AnnAssign, frame: Frame) -> bool:
    if node.value is not None:
      self.assign(node.target, evaluate(self, node.value, frame), frame)
    return False

  def _AugAssign(self, node: ast.AugAssign, frame: Frame) -> bool:
    read = ast.copy_location(ast.BinOp(_as_load(node.target), node.op, node.value), node)
    self.assign(node.target, evaluate(self, read, frame), frame)
    return False

  def _FunctionDef(self, node: ast.FunctionDef, frame: Frame) -> bool:
    frame.env[node.name] = closure(node, frame)
    return False

  def _Pass(self, node: ast.Pass, frame: Frame) -> bool:
    return False

  _Global = _Nonlocal = _Import = _Pass

  def _ImportFrom(self, node: ast.ImportFrom, frame: Frame) -> bool:
    return False

  def _Assert(self, node: ast.Assert, frame: Frame) -> bool:
    evaluate(self, node.test, frame)
    return False

  def _Delete(self, node: ast.Delete, frame: Frame) -> bool:
    for target in node.targets:
      if isinstance(target, ast.Name):
        frame.env.pop(target.id, None)
    return False

  def _With(self, node: ast.With, frame: Frame) -> bool:
    for item in node.items:
      value = evaluate(self, item.context_expr, frame)
      if item.optional_vars is not None:
        self.assign(
          item.optional_vars,
          Unknown('a context manager', node.lineno) if not isinstance(value, Opaque) else value,
          frame,
        )
    return self._inside(node, 'body', node.body, frame)

  def _Try(self, node: ast.Try, frame: Frame) -> bool:
    ended = self._inside(node, 'body', node.body, frame)
    return ended and not node.handlers

  def _If(self, node: ast.If, frame: Frame) -> bool:
    answer = truth(self, evaluate(self, node.test, frame))
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
      frame.self_value.attributes = join_env(
        body_attributes, frame.self_value.attributes, node.test, self.table
      )
    if body_ended and else_ended:
      return True
    if body_ended:
      return False
    frame.env = body_env if else_ended else join_env(body_env, frame.env, node.test, self.table)
    return False

  # -- loops ------------------------------------------------------------------------------------

  def _For(self, node: ast.For, frame: Frame) -> bool:
    iterable = evaluate(self, node.iter, frame)
    if isinstance(iterable, Unknown) and self.recording and frame.subject and makes_modules(node.body):
      self.record.refusals.append(
        (node.lineno, f'the loop runs over a value that could not be followed: {iterable.reason}')
      )
    passes = concrete_passes(iterable)
    if passes is not None and not makes_modules(node.body) and len(passes) <= _MAX_CONCRETE_PASSES:
      return self._concrete_loop(node, passes, frame)

    def bind() -> None:
      self.assign(node.target, loop_element(self, iterable, node.target, node), frame)

    self._widen(node, frame, bind, ran=bool(passes))
    if not self._of_subject(frame) and not _leaves(node):
      frame.env = settled_elsewhere(self, frame.env, node, iterable)
    return self.block(node.orelse, frame) if node.orelse else False

  def _While(self, node: ast.While, frame: Frame) -> bool:
    evaluate(self, node.test, frame)
    self._widen(node, frame, lambda: None)
    return False

  def _concrete_loop(self, node: ast.For, passes: list[Value], frame: Frame) -> bool:
    for value in passes:
      self.assign(node.target, value, frame)
      if self._inside(node, 'body', node.body, frame) and frame.env.pop('<break>', None) is None:
        return True
    return self.block(node.orelse, frame) if node.orelse else False

  def _widen(self, node: ast.For | ast.While, frame: Frame, bind: Any, ran: bool = False) -> None:
    """First passes find what changes from pass to pass; the last one is recorded."""
    entry = copy_env(frame.env)
    carried: dict[str, Value] = {}
    recording = self.recording
    exit_env = entry
    for _ in range(4):
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
    frame.env = after_loop(carried, exit_env, self.table, node, ran and not _leaves(node))

  def _of_subject(self, frame: Frame) -> bool:
    """Tells whether a function is a method written in the analysed class itself."""
    source = frame.self_value.source if frame.subject and frame.self_value is not None else None
    return source is not None and any(method.node is frame.node for method in source.own_methods.values())

  def _changes(
    self, entry: dict[str, Value], carried: dict[str, Value], after: dict[str, Value], node: ast.AST
  ) -> dict[str, Value]:
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

  def _close(
    self, node: ast.AST, entry: dict[str, Value], carried: dict[str, Value], after: dict[str, Value]
  ) -> None:
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
    items = unpack(self, value, target, frame)
    for item, part in zip(target.elts, items):
      self.assign(item, part, frame)

  def _set_attribute(self, target: ast.Attribute, value: Value, frame: Frame) -> None:
    owner = evaluate(self, target.value, frame)
    if isinstance(owner, Instance):
      owner.attributes[target.attr] = value
      owner.altered = owner.altered or owner is not frame.self_value
      note_attribute(owner, target.attr, value)
      return
    if target.attr == 'value':
      return
    if not isinstance(owner, (Opaque, Unknown)):
      self.note_unknown_targets(target, frame)

  def _set_item(self, target: ast.Subscript, value: Value, frame: Frame) -> None:
    owner = evaluate(self, target.value, frame)
    index = evaluate(self, target.slice, frame)
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
        frame.env[child.id] = Unknown(
          f'a {type(node).__name__} statement is not followed', getattr(node, 'lineno', 0)
        )


def _as_load(target: ast.expr) -> ast.expr:
  copy = ast.parse(ast.unparse(target), mode='eval').body
  for node in ast.walk(copy):
    ast.copy_location(node, target)
  return copy


def _leaves(loop: ast.AST) -> bool:
  """Tells whether a pass may end early."""
  return any(isinstance(child, (ast.Break, ast.Continue)) for child in ast.walk(loop))
