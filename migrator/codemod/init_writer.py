"""Writes what a method needs to build: the part of its body that moves to the constructor."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from .conditions import leaving_branch, negated
from .layer_call import Refused
from .loops import COMPREHENSIONS, bound, clause_text, loops_of, target_text
from .names_in import read, stored, targets
from .plan import Member
from .sizes import NotStatic, SizeWriter
from .static import StaticWriter, relative


@dataclasses.dataclass
class Line:
  """One statement of the constructor: text at an indentation level, and the statement its comments come from."""

  level: int
  text: str
  statement: ast.stmt | None = None


class InitWriter:
  """Slices one compact method.

  members: outermost creations of the method, by node id; expression: writes a creation as a constructor call.
  """

  def __init__(
    self,
    method: ast.FunctionDef,
    writer: StaticWriter,
    sizes: SizeWriter,
    members: dict[int, Member],
    expression: Callable[[Member, dict[str, Any], tuple[ast.AST, ...]], str],
    unit: str,
  ) -> None:
    self.method = method
    self.writer = writer
    self.sizes = sizes
    self.members = members
    self.expression = expression
    self.unit = unit
    self.required: set[str] = set()
    self.last: dict[str, float] = {}  # the last line where a required variable is read
    self.definitions: dict[int, ast.stmt] = {}
    self.moved: dict[int, ast.stmt] = {}
    self.assumptions: list[str] = []
    self.done: set[str] = set()
    self.loop_names: set[str] = set()

  def lines(self) -> list[Line]:
    """Returns the statements of the constructor.

    Raises:
      Refused, NotStatic: something needed to build is only known at the call.
    """
    for _ in range(20):
      self.definitions, self.moved, self.assumptions = {}, {}, []
      self.done, self.loop_names = set(), set()
      self.writer.needed.clear()
      self.writer.rebound.clear()
      self.sizes.locals.clear()
      lines = self._block(self.method.body, 0, ())
      lines = self._outer_carried(lines)
      needed = (set(self.writer.needed) | set(self.sizes.locals)) & self.writer.locals
      needed -= {item.name for item in self.sizes.carried.values()}
      last = {
        name: math.inf if name in self.sizes.locals else self.writer.fixed.end(self.writer.needed[name])
        for name in needed
      }
      if needed <= self.required and all(last[name] <= self.last[name] for name in needed):
        missing = (
          needed
          - {name for statement in self.definitions.values() for name in _bound(statement)}
          - self.loop_names
        )
        if missing:
          raise NotStatic(
            f'{", ".join(sorted(missing))} has no definition that can be moved to the constructor'
          )
        return lines
      self.required |= needed
      self.last.update({name: max(line, self.last.get(name, 0)) for name, line in last.items()})
      self.sizes.available = set(self.required)
    raise Refused('the constructor cannot be separated from the call')

  def _block(self, body: list[ast.stmt], level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    lines: list[Line] = []
    for position, statement in enumerate(body):
      lines += self._statement(statement, level, loops)
      leaves = leaving_branch(statement)
      if leaves is not None and isinstance(statement, ast.If) and position + 1 < len(body):
        return lines + self._after_leaving(statement, leaves, body[position + 1 :], level, loops)
    return lines

  def _after_leaving(
    self, statement: ast.If, leaves: str, rest: list[ast.stmt], level: int, loops: tuple[ast.AST, ...]
  ) -> list[Line]:
    """What follows `if test: return x` is only built where the test does not hold."""
    try:
      test = self._test(statement.test, leaves == 'orelse')
    except NotStatic as error:
      lines = self._block(rest, level, loops)
      if lines:
        self.assumptions.append(
          f'what follows line {statement.lineno} is always made, in Linen only where the call comes there ({error})'
        )
      return lines
    lines = self._block(rest, level + 1, loops)
    return [Line(level, f'if {test}:', None), *lines] if lines else []

  def _statement(self, node: ast.stmt, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    if isinstance(node, ast.If):
      return self._if(node, level, loops)
    if isinstance(node, ast.For):
      return self._for(node, level, loops)
    if isinstance(node, (ast.With, ast.Try)):
      return self._with(node, level, loops)
    if isinstance(node, ast.While):
      if self._block(node.body, level, loops):
        raise Refused(f'a while loop builds modules (line {node.lineno})')
      return []
    lines = self._creations(node, level, loops)
    if any(node.lineno <= self.last.get(name, 0) for name in targets(node) & self.required):
      lines += self._definition(node, level)
    return lines

  # -- simple statements ----------------------------------------------------------------------

  def _creations(self, node: ast.stmt, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    lines: list[Line] = []
    if isinstance(node, ast.FunctionDef):
      return lines
    last: tuple[int, str] | None = None
    for child in _in_order(node):
      member = self.members.get(id(child))
      if member is None:
        continue
      self.moved[id(node)] = node
      choices = _choices(member, node)
      made = self._creation(member, node, level + len(choices), loops)
      guards, last = self._guards(choices, last, level, node) if made else ([], last)
      if guards is None:
        made = [Line(level, line.text, line.statement) for line in made]
      lines += [*(guards or []), *made]
    return lines

  def _guards(
    self, choices: list[tuple[ast.IfExp, str]], last: tuple[int, str] | None, level: int, statement: ast.stmt
  ) -> tuple[list[Line] | None, tuple[int, str] | None]:
    """Returns the conditions for a creation inside `a if test else b`; None if they are only known at the call."""
    if len(choices) == 1 and last == (id(choices[0][0]), choices[0][1]):
      return [], last
    if len(choices) == 1 and last is not None and last[0] == id(choices[0][0]):
      return [Line(level, 'else:')], (last[0], choices[0][1])
    try:
      tests = [self._test(node.test, branch == 'body') for node, branch in choices]
    except NotStatic:
      return None, None
    lines = [Line(level + depth, f'if {test}:', statement) for depth, test in enumerate(tests)]
    return lines, (id(choices[-1][0]), choices[-1][1]) if choices else None

  def _test(self, node: ast.expr, holds: bool) -> str:
    text = self.writer.text(node)
    return text if holds else negated(node, text)

  def _creation(
    self, member: Member, statement: ast.stmt, level: int, loops: tuple[ast.AST, ...]
  ) -> list[Line]:
    if member.container is not None:
      return self._container(member, statement, level)
    names = member.creation.names
    comprehensions = [node for node in loops_of(member.creation.path) if isinstance(node, COMPREHENSIONS)]
    if comprehensions:
      return [Line(level, self._comprehension(member, comprehensions, loops), statement)]
    asked, needed = dict(self.sizes.needed), dict(self.writer.needed)
    try:
      text = self.expression(member, names, loops)
    except NotStatic:
      if member.creation.kind != 'variable' or member.listed:
        raise
      self.sizes.needed, self.writer.needed = asked, needed
      # Its first value depends on the call, so the first call makes it.
      member.lazy = True
      text = 'nnx.data(None)'
    if member.key is not None:
      return [Line(level, f'self.{member.attribute}[{member.key_text}] = {text}', statement)]
    if member.listed:
      return [Line(level, f'self.{member.attribute}.append({text})', statement)]
    return [Line(level, f'self.{member.attribute} = {text}', statement)]

  def _comprehension(self, member: Member, comprehensions: list[Any], loops: tuple[ast.AST, ...]) -> str:
    """`[nn.Dense(4)(x) for _ in range(3)]` makes a list of layers in the constructor."""
    saved, self.writer.hidden = self.writer.hidden, set().union(*map(bound, comprehensions))
    try:
      text = self.expression(member, member.creation.names, loops)
      key = f'{member.key_text}: ' if member.key is not None else ''
      used = set(_words(key + text))
      clauses = ' '.join(clause_text(node, self.writer.text, used) for node in comprehensions)
    finally:
      self.writer.hidden = saved
    if member.key is not None:
      items = f'{{{key}{text} {clauses}}}'
      return (
        f'self.{member.attribute}.update({items})'
        if loops
        else f'self.{member.attribute} = nnx.Dict({items})'
      )
    items = f'[{text} {clauses}]'
    return (
      f'self.{member.attribute}.extend({items})' if loops else f'self.{member.attribute} = nnx.List({items})'
    )

  def _container(self, member: Member, statement: ast.stmt, level: int) -> list[Line]:
    if member.attribute in self.done:
      return []
    self.done.add(member.attribute)
    assert member.container is not None
    text = self.writer.text(member.container)
    kind = 'nnx.Dict' if isinstance(member.container, (ast.Dict, ast.DictComp)) else 'nnx.List'
    return [Line(level, f'self.{member.attribute} = {kind}({text})', statement)]

  def _definition(self, node: ast.stmt, level: int) -> list[Line]:
    if id(node) in self.moved and not isinstance(node, (ast.Assign, ast.AnnAssign)):
      raise NotStatic(f'line {node.lineno} builds and computes at once')
    if id(node) in self.moved:
      return []
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and node.value is not None:
      value = self.writer.text(node.value)
      if _is_measured(self.writer, node):
        return []
    elif isinstance(node, ast.FunctionDef):
      self.definitions[id(node)] = node
      return [Line(level, self._function(node), node)]
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
      self.definitions[id(node)] = node
      return [Line(level, self.writer.source.node(node), node)]
    else:
      raise NotStatic(f'line {node.lineno} cannot be moved to the constructor')
    self.definitions[id(node)] = node
    if not (isinstance(node, ast.Assign) and {value} == targets(node)):
      self.writer.rebound |= targets(node)
    if isinstance(node, ast.Assign) and value in self.writer.fields and isinstance(node.targets[0], ast.Name):
      self.sizes.aliases[value] = node.targets[0].id
    if (
      isinstance(node, ast.Assign)
      and len(node.targets) == 1
      and isinstance(node.targets[0], ast.Name)
      and node.targets[0].id == value
    ):
      return []
    head = self.writer.source.slice(
      self.writer.source.own_start(node), self.writer.source.own_start(node.value)
    )
    return [Line(level, head + value + _closing(self.writer, node), node)]

  def _function(self, node: ast.FunctionDef) -> str:
    from .text import Edits

    edits = Edits(self.writer.source)
    inner = self.writer
    for statement in node.body:
      for child in ast.walk(statement):
        if isinstance(child, ast.expr):
          renamed = inner.rename(child)
          if renamed is not None:
            edits.replace(child, renamed)
          elif (
            isinstance(child, ast.Attribute)
            and isinstance(child.value, ast.Name)
            and child.value.id == inner.self_name
          ):
            if child.attr in inner.fields:
              edits.replace(child, child.attr)
    free = {name for statement in node.body for name in read(statement)} & inner.locals
    own = {argument.arg for argument in node.args.args} | {
      name for child in ast.walk(node) for name in targets(child)
    }
    for name in sorted(free - own - {inner.self_name}):
      inner.needed[name] = max(inner.needed.get(name, 0), node.lineno)
    return relative(edits.apply(inner.source.start(node), inner.source.end(node)), inner.source.indent(node))

  # -- compound statements ----------------------------------------------------------------------

  def _if(self, node: ast.If, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    before = set(self.writer.rebound)
    body = self._block(node.body, level + 1, loops)
    after, self.writer.rebound = self.writer.rebound, set(before)
    orelse = self._block(node.orelse, level + 1, loops)
    if not body and not orelse:
      self.writer.rebound |= after
      return []
    # A branch that only refuses a value goes along with the branches that use it.
    body = body or self._refusal(node.body, level + 1)
    orelse = orelse or self._refusal(node.orelse, level + 1)
    try:
      after |= self.writer.rebound
      self.writer.rebound = before
      test = self.writer.text(node.test)
    except NotStatic as error:
      return self._without_condition(node, body, orelse, str(error))
    finally:
      self.writer.rebound = after
    lines = []
    if body:
      lines = [Line(level, f'if {test}:', node), *body]
    if orelse and not body:
      return [Line(level, f'if not ({test}):' if ' ' in test else f'if not {test}:', node), *orelse]
    if orelse:
      lines += self._else(node, level, orelse)
    return lines

  def _refusal(self, block: list[ast.stmt], level: int) -> list[Line]:
    if len(block) != 1 or not isinstance(block[0], ast.Raise) or block[0].exc is None or block[0].cause is not None:
      return []
    return [Line(level, f'raise {self.writer.text(block[0].exc)}', block[0])]

  def _else(self, node: ast.If, level: int, orelse: list[Line]) -> list[Line]:
    first = orelse[0]
    nested = len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If) and self._is_elif(node)
    if nested and first.text.startswith('if ') and not first.text.startswith('if not '):
      shifted = [Line(line.level - 1, line.text, line.statement) for line in orelse]
      shifted[0] = Line(level, 'el' + first.text, first.statement)
      return shifted
    return [Line(level, 'else:'), *orelse]

  def _is_elif(self, node: ast.If) -> bool:
    source = self.writer.source
    start = source.own_start(node.orelse[0])
    return source.slice(start, start + 4) == 'elif'

  def _without_condition(self, node: ast.If, body: list[Line], orelse: list[Line], reason: str) -> list[Line]:
    """A condition of the call does not decide what is built: everything is."""
    inside = {id(statement) for statement in ast.walk(node)}
    if any(key in inside for key in self.definitions):
      raise NotStatic(f'the condition of line {node.lineno} decides how modules are built: {reason}')
    made = [member for key, member in self.members.items() if key in inside]
    if any(member.attribute == other.attribute for i, member in enumerate(made) for other in made[:i]):
      raise Refused(f'both branches of line {node.lineno} make {made[0].attribute}')
    holding = [member for member in made if member.record is None or 'params' in member.record.collections]
    if holding:
      names = ', '.join(member.attribute for member in holding)
      self.assumptions.append(
        f'{names} is always made, in Linen only where the condition of line {node.lineno} holds at initialisation'
      )
    return [Line(line.level - 1, line.text, line.statement) for line in (*body, *orelse)]

  def _for(self, node: ast.For, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    self.writer.rebound |= stored(node.target) | self.required & {
      name for child in ast.walk(node) for name in targets(child)
    }
    body = self._block(node.body, level + 1, (*loops, node))
    if not body:
      return []
    iterable = self.writer.text(node.iter)
    self.loop_names |= stored(node.target)
    body += self._updates(node, level + 1, (*loops, node))
    used = {name for line in body for name in _words(line.text)}
    target = target_text(node.target, used)
    lines = self._lists(node, level) if not any(isinstance(loop, ast.For) for loop in loops) else []
    lines = self._entries(node, level, loops) + lines
    comprehension = _as_comprehension(lines, body, target, iterable, level)
    if comprehension is not None:
      return [Line(level, comprehension, node)]
    return [*lines, Line(level, f'for {target} in {iterable}:', node), *body]

  def _lists(self, node: ast.For, level: int) -> list[Line]:
    """`self.x = nnx.List()` in front of the outermost loop, for every list filled in it."""
    inside = {id(child) for child in ast.walk(node)}
    made = {
      member.attribute: 'List' if member.key is None else 'Dict'
      for key, member in self.members.items()
      if key in inside and member.listed
    }
    return [Line(level, f'self.{name} = nnx.{kind}()') for name, kind in made.items()]

  def _entries(self, node: ast.For, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    lines = []
    for item in list(self.sizes.carried.values()):
      if item.loop is node:
        text = self.sizes.text(item.entry, {}, loops)
        if text != item.name:
          lines.append(Line(level, f'{item.name} = {text}'))
    return lines

  def _updates(self, node: ast.For, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    lines: list[Line] = []
    for item in list(self.sizes.carried.values()):
      if item.loop is node and item.update is not None:
        text = self.sizes.text(item.update, {}, loops)
        if text != item.name:
          lines.append(Line(level, f'{item.name} = {text}'))
    return lines

  def _outer_carried(self, lines: list[Line]) -> list[Line]:
    loops = {id(node) for node in ast.walk(self.method) if isinstance(node, ast.For)}
    for item in self.sizes.carried.values():
      if id(item.loop) not in loops:
        raise Refused(f'the size {item.name} changes in a loop of another method')
    return lines

  def _with(self, node: ast.With | ast.Try, level: int, loops: tuple[ast.AST, ...]) -> list[Line]:
    if isinstance(node, ast.Try):
      if any(self._block(handler.body, level, loops) for handler in node.handlers):
        raise Refused(f'an exception handler builds modules (line {node.lineno})')
    return self._block(node.body, level, loops)


def _as_comprehension(
  lists: list[Line], body: list[Line], target: str, iterable: str, level: int
) -> str | None:
  """`self.x = nnx.List()` and a loop of one append become one comprehension."""
  if len(lists) != 1 or len(body) != 1 or not lists[0].text.endswith(' = nnx.List()'):
    return None
  name = lists[0].text.removesuffix(' = nnx.List()')
  head = f'{name}.append('
  if not body[0].text.startswith(head) or not body[0].text.endswith(')'):
    return None
  return f'{name} = nnx.List([{body[0].text[len(head) : -1]} for {target} in {iterable}])'


def _choices(member: Member, statement: ast.stmt) -> list[tuple[ast.IfExp, str]]:
  """Returns the conditional expressions of the statement that a creation stands in."""
  inside = {id(child) for child in ast.walk(statement)}
  held = {id(child) for child in ast.walk(member.container)} if member.container is not None else set()
  return [
    (node, branch)
    for node, branch in member.creation.path
    if isinstance(node, ast.IfExp) and id(node) in inside and id(node) not in held
  ]


def _words(text: str) -> set[str]:
  import re

  return set(re.findall(r'[A-Za-z_]\w*', text))


def _bound(statement: ast.stmt) -> set[str]:
  return targets(statement)


def _is_measured(writer: StaticWriter, node: ast.stmt) -> bool:
  """`n, h, w, c = x.shape`: its names are written out as sizes instead."""
  return (
    isinstance(node, ast.Assign)
    and isinstance(node.targets[0], (ast.Tuple, ast.List))
    and writer._mentions_arrays(node.value, set())
    and writer.holds_sizes(node.value)
  )


def _closing(writer: StaticWriter, node: Any) -> str:
  """Returns what follows the value inside the statement: closing parentheses around it."""
  value = node.value
  return writer.source.slice(writer.source.end(value), writer.source.end(node))


def _in_order(node: ast.AST) -> list[ast.AST]:
  """Returns the nodes of a statement in evaluation order: what a call needs before the call."""
  found: list[ast.AST] = []

  def visit(item: ast.AST) -> None:
    for child in ast.iter_child_nodes(item):
      visit(child)
    found.append(item)

  visit(node)
  return found
