"""Writes a `setup` method as the body of a constructor."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

from migrator.shapes.joins import elements
from migrator.shapes.values import Alternatives, Array, Instance, Repeated, VariableRef

from .bases import is_super_call
from .layer_call import Refused
from .names_in import read, targets
from .plan import Member
from .setup_arrays import ArrayWriter, unread
from .sizes import NotStatic, SizeWriter
from .static import StaticWriter
from .text import Edits


class SetupWriter:
  """Copies the statements of `setup`: creations are completed, lists of modules become nnx.List.

  owner: the `ClassWriter`.
  """

  def __init__(self, owner: Any, method: ast.FunctionDef, writer: StaticWriter, sizes: SizeWriter) -> None:
    self.owner = owner
    self.method = method
    self.writer = writer
    self.sizes = sizes
    self.source = owner.source
    self.edits = Edits(owner.source)
    self.followed: set[str] = set()
    self.begun: set[str] = set()  # sizes of a loop that a statement before it has begun with
    self.loops = 0  # how many loops the statement at hand is in
    self.dropped: set[int] = set()
    self.only_arrays: set[str] = set()
    self.hoisted: set[str] = set()  # what parameters read that are made where an array was stored
    self.array_attributes = self._array_attributes()
    self.params = {
      member.attribute
      for member in owner.plan.members
      if member.from_setup and member.creation.kind == 'param' and member.container is None
    }

  def lines(self) -> list[str]:
    """Returns the constructor lines that stand for `setup`.

    Raises:
      Refused, NotStatic: a statement depends on what is only known at the call.
    """
    self._rewrite()
    for name, item in self.sizes.carried.items():
      if name not in self.followed:
        raise Refused(f'the size {item.name} comes out of a loop of another method, which may not run')
    body = self._without_docstring()
    if not body:
      return []
    start = self.source.leading_comments(body[0], self.source.line_end(self.source.own_start(self.method)))
    text = self.edits.apply(start, self.source.line_end(self.source.end(body[-1]) - 1)).rstrip('\n')
    old = self.source.indent(body[0])
    rows = [row[len(old) :] if row.startswith(old) else row for row in text.split('\n')]
    return list('\n'.join(rows).split('\n'))

  def _without_docstring(self) -> list[ast.stmt]:
    body = self.method.body
    if (
      body
      and isinstance(body[0], ast.Expr)
      and isinstance(body[0].value, ast.Constant)
      and isinstance(body[0].value.value, str)
    ):
      body = body[1:]
    return [] if all(isinstance(item, ast.Pass) for item in body) else body

  def _rewrite(self) -> None:
    for statement in self.method.body:
      self._statement(statement)
    for node in unread(self.method, self.dropped, self.only_arrays, self.hoisted):
      self._drop(node)
    self._empty_blocks(self.method.body)

  def _statement(self, node: ast.stmt) -> None:
    if isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try)):
      self._compound(node)
      return
    if isinstance(node, ast.Assign):
      self._assign(node)
      return
    if isinstance(node, ast.Expr) and is_super_call(node.value, ('setup', '__post_init__')):
      self._drop(node)
      return
    if isinstance(node, ast.FunctionDef):
      self._inside_function(node)
      return
    for child in ast.iter_child_nodes(node):
      if isinstance(child, ast.expr) and not isinstance(getattr(child, 'ctx', None), ast.Store):
        self._expression(child)

  def _compound(self, node: Any) -> None:
    bound = {name for child in ast.walk(node) for name in targets(child)}
    if isinstance(node, (ast.For, ast.While)):
      self.writer.rebound |= bound
    for field in ('test', 'iter'):
      if hasattr(node, field):
        self._expression(getattr(node, field))
    for item in getattr(node, 'items', []):
      self._expression(item.context_expr)
    self.loops += isinstance(node, (ast.For, ast.While))
    for part in ('body', 'orelse', 'finalbody'):
      for statement in getattr(node, part, []):
        self._statement(statement)
    self.loops -= isinstance(node, (ast.For, ast.While))
    for handler in getattr(node, 'handlers', []):
      for statement in handler.body:
        self._statement(statement)
    if isinstance(node, ast.For):
      self._carried(node)
    self.writer.rebound |= bound

  def _carried(self, node: ast.For) -> None:
    used = list(self.sizes.carried.values())
    used = [item for item in used if item.symbol not in self.followed]
    if used:
      self.followed |= {item.symbol for item in used}
      begun = self.begun
      entries = [f'{item.name} = {self.sizes.text(item.entry)}' for item in used if item.symbol not in begun]
      updates = [
        f'{item.name} = {self.sizes.text(item.update, {}, _loops_of(item.update, self.sizes, node))}'
        for item in used
      ]
      indent, inner = self.source.indent(node), self.source.indent(node.body[0])
      start = self.source.line_start(self.source.own_start(node))
      self.edits.replace_range(start, start, ''.join(f'{indent}{line}\n' for line in entries))
      end = self.source.line_end(self.source.end(node.body[-1]) - 1)
      self.edits.replace_range(end, end, ''.join(f'{inner}{line}\n' for line in updates))

  def _assign(self, node: ast.Assign) -> None:
    for target in node.targets:
      if isinstance(target, ast.Subscript):
        self._expression(target.slice)
    before = set(self.sizes.carried)
    value = self.owner.call.value(node.value)
    own = any(isinstance(target, ast.Attribute) for target in node.targets)
    if own and any(getattr(target, 'attr', None) in self.array_attributes for target in node.targets):
      self._property(node)
      return
    member = self.owner.call.by_node.get(id(node.value))
    if member is not None and member.without_weights:
      self._drop(node)
      return
    text = self.writer_text(node.value)
    fresh = [item for name, item in self.sizes.carried.items() if name not in before]
    kind = _container_kind(value) if own else None
    if fresh and own and isinstance(node.value, ast.ListComp):
      self._as_loop(node, fresh, text)
      return
    if fresh and not self.loops:
      self._first_step(node, fresh)
    if kind is not None:
      text = f'{kind}({_as_list(node.value, text)})'
    if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and node.targets[0].id == text:
      self._drop(node)
      return
    self.writer.rebound |= targets(node)
    if member is not None and member.guard is not None:
      self._guarded(node, member, text)
      return
    self.edits.replace(node.value, self._indented(node, text))

  def _first_step(self, node: ast.Assign, fresh: list[Any]) -> None:
    """`layers = [first]` before the loop that makes the list longer: the size enters here and changes once.

    Raises:
      Refused, NotStatic: the list does not begin with one module, or the change is only known in the loop.
    """
    if not isinstance(node.value, ast.List) or len(node.value.elts) != 1:
      raise Refused(f'the size {fresh[0].name} of a loop is needed before it (line {node.lineno})')
    self.begun |= {item.symbol for item in fresh}
    indent = self.source.indent(node)
    entries = [f'{item.name} = {self.sizes.text(item.entry)}' for item in fresh]
    updates = [f'{item.name} = {self.sizes.text(item.update)}' for item in fresh]
    start = self.source.line_start(self.source.own_start(node))
    self.edits.replace_range(start, start, ''.join(f'{indent}{line}\n' for line in entries))
    end = self.source.line_end(self.source.end(node) - 1)
    self.edits.replace_range(end, end, ''.join(f'{indent}{line}\n' for line in updates))

  def _guarded(self, node: ast.Assign, member: Member, text: str) -> None:
    """Linen makes no weights for a layer that is only applied with those of others; NNX makes no layer."""
    test = self.owner.condition(member.guard)
    unit = self.owner.unit
    body = f'{self.source.node(node.targets[0])} = {text}'.replace('\n', f'\n{unit}')
    self.edits.replace(node, self._indented(node, f'if {test}:\n{unit}{body}'))

  def _array_attributes(self) -> set[str]:
    """Returns the attributes that `setup` stores an array in, at one place at least."""
    return {
      target.attr
      for node in ast.walk(self.method)
      if isinstance(node, ast.Assign)
      and isinstance(self.owner.call.value(node.value), Array)
      and not self._is_variable(node.value)
      for target in node.targets
      if isinstance(target, ast.Attribute)
    }

  def _indented(self, node: ast.AST, text: str) -> str:
    """Later lines of a text stand relative to the line it is put in."""
    return text.replace('\n', '\n' + self.source.indent(node))

  def _is_variable(self, node: ast.expr) -> bool:
    member = self.owner.call.by_node.get(id(node))
    return member is not None and member.creation.kind in ('param', 'variable')

  def _property(self, node: ast.Assign) -> None:
    """An array that `setup` computes becomes a property: as an attribute NNX would make it part of the state."""
    target = node.targets[0]
    assert isinstance(target, ast.Attribute)
    name = target.attr
    if name not in self.owner.properties:
      arrays = ArrayWriter(
        self.method, self.source, self.owner.unit, self._read_in_property, self._comments_above
      )
      made = arrays.property(name)
      foreign = [
        item
        for method in self.owner.plan.source.own_methods.values()
        if method.node is not self.method
        for item in ast.walk(method.node)
        if isinstance(item, ast.Attribute) and item.attr == name and isinstance(item.ctx, ast.Store)
      ]
      if foreign:
        raise Refused(f'setup stores an array in self.{name}, and line {foreign[0].lineno} changes it')
      self.owner.properties[name] = made.lines
      self.only_arrays |= made.locals
    self._drop(node)
    self._hoist(node)

  def _read_in_property(self, node: ast.AST) -> str | None:
    """A parameter made in front of its use is read from its attribute; Linen names are written as NNX ones."""
    member = self.owner.call.by_node.get(id(node))
    if member is not None:
      if member.creation.kind != 'param' or member.listed or member.container is not None:
        raise Refused(f'setup stores an array made with a module (line {node.lineno})')  # type: ignore[attr-defined]
      return f'self.{member.attribute}[...]'
    return self.owner.names.rename(node) if isinstance(node, (ast.Name, ast.Attribute)) else None

  def _hoist(self, node: ast.Assign) -> None:
    """Parameters that the expression makes are made where it stood."""
    indent = self.source.indent(node)
    made = [self.owner.call.by_node[id(child)] for child in ast.walk(node) if id(child) in self.owner.call.by_node]
    if made:
      self.hoisted |= {name for member in made for name in read(member.creation.node)}
      start = self.source.line_start(self.source.own_start(node))
      lines = [f'self.{member.attribute} = {self.writer.text(member.creation.node)}' for member in made]
      text = ''.join(f'{indent}{line}\n' for line in lines)
      self.edits.replace_range(start, self.source.line_end(self.source.end(node)), text)

  def _comments_above(self, node: ast.stmt) -> list[str]:
    start = self.source.leading_comments(node, self.source.line_end(self.source.own_start(self.method)))
    text = self.source.slice(start, self.source.line_start(self.source.own_start(node)))
    self.edits.replace_range(start, self.source.line_start(self.source.own_start(node)), '')
    trailing = self.source.slice(self.source.end(node), self.source.line_end(self.source.end(node))).strip()
    return [line.strip() for line in [*text.splitlines(), trailing] if line.strip().startswith('#')]

  def writer_text(self, node: ast.expr) -> str:
    return self.writer.text(node)

  def _as_loop(self, node: ast.Assign, carried: list[Any], text: str) -> None:
    """A list of layers whose sizes follow each other is built by a loop that carries the size."""
    comprehension = node.value
    assert isinstance(comprehension, ast.ListComp)
    generator = comprehension.generators[0]
    if len(comprehension.generators) != 1 or generator.ifs:
      raise Refused(
        f'the sizes of the list in line {node.lineno} follow each other in a way that is not understood'
      )
    self.followed |= {item.symbol for item in carried}
    target = self.source.node(node.targets[0])
    indent = self.source.indent(node)
    unit = self.owner.unit
    element = self.writer.text(comprehension.elt)
    iterable = self.writer.text(generator.iter)
    lines = [f'{item.name} = {self.sizes.text(item.entry)}' for item in carried]
    lines += [
      f'{target} = nnx.List()',
      f'for {self.source.node(generator.target)} in {iterable}:',
      f'{unit}{target}.append({element})',
    ]
    for item in carried:
      lines.append(f'{unit}{item.name} = {self.sizes.text(item.update, {}, (comprehension, item.loop))}')
    self.edits.replace(node, ('\n' + indent).join(lines))

  def _expression(self, node: ast.expr) -> None:
    text = self.writer_text(node)
    if text != self.source.node(node):
      self.edits.replace(node, self._indented(node, text))

  def _inside_function(self, node: ast.FunctionDef) -> None:
    for statement in node.body:
      for child in ast.walk(statement):
        if isinstance(child, ast.expr):
          renamed = self.writer.rename(child)
          if renamed is not None:
            self.edits.replace(child, renamed)

  def _empty_blocks(self, body: list[ast.stmt]) -> None:
    for node in body:
      for part in ('body', 'orelse'):
        self._empty_blocks(getattr(node, part, []) if isinstance(node, (ast.If, ast.For, ast.While, ast.With)) else [])
      self._emptied(node)

  def _emptied(self, node: Any) -> None:
    """A branch whose statements all became properties says so with `pass`, or goes with its condition."""
    if isinstance(node, (ast.For, ast.With)) and all(id(item) in self.dropped for item in node.body):
      self._drop(node)
    if not isinstance(node, ast.If):
      return
    gone = [all(id(item) in self.dropped for item in part) for part in (node.body, node.orelse)]
    if all(gone):
      self._drop(node)
    elif gone[0]:
      first = node.body[0]
      start = self.source.line_start(self.source.own_start(first))
      self.edits.replace_range(start, start, f'{self.source.indent(first)}pass\n')
    elif gone[1] and node.orelse and not isinstance(node.orelse[0], ast.If):
      start = self.source.line_start(self.source.own_start(node.orelse[0]))
      self.edits.replace_range(start, start, f'{self.source.indent(node.orelse[0])}pass\n')

  def _drop(self, node: ast.stmt) -> None:
    self.dropped.add(id(node))
    start = self.source.line_start(self.source.own_start(node))
    self.edits.replace_range(start, self.source.line_end(self.source.end(node)), '')


def _loops_of(update: Any, sizes: SizeWriter, node: ast.For) -> tuple[ast.AST, ...]:
  import re

  loops = [node]
  for name in re.findall(r'[A-Za-z]\w*', str(update)):
    info = sizes.table.info(name)
    if info is not None and info.loop is not None and info.loop not in loops:
      loops.append(info.loop)  # type: ignore[arg-type]
  return tuple(loops)


def _container_kind(value: Any) -> str | None:
  """Returns the NNX container for a value that holds modules."""
  if isinstance(value, dict) and any(_holds(item) for item in value.values()):
    return 'nnx.Dict'
  if isinstance(value, (list, tuple, Repeated)) and any(_holds(item) for item in elements(value)):
    return 'nnx.List'
  return None


def _as_list(node: ast.expr, text: str) -> str:
  """`tuple(x for x in y)` and `(x, y)` as the list that nnx.List is given."""
  if (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Name)
    and node.func.id in ('tuple', 'list')
    and len(node.args) == 1
    and isinstance(node.args[0], ast.GeneratorExp)
  ):
    return f'[{text[len(node.func.id) + 1 : -1]}]'
  if isinstance(node, ast.Tuple) and text.startswith('('):
    return f'[{text[1:-1].rstrip().rstrip(",")}]'
  return text


def _holds(value: Any) -> bool:
  if isinstance(value, (Instance, VariableRef)):
    return True
  if isinstance(value, Alternatives):
    return any(map(_holds, value.options))
  if isinstance(value, (list, tuple, Repeated)):
    return any(_holds(item) for item in elements(value))
  if isinstance(value, dict):
    return any(_holds(item) for item in value.values())
  return False


__all__ = ['NotStatic', 'SetupWriter', 'textwrap']
