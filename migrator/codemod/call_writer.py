"""Rewrites method bodies: creations become attribute reads, what only builds is removed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from migrator.shapes.values import Late, Partial, VariableRef, contains

from . import given_weights, initializing, module_api
from .init_writer import InitWriter, _in_order
from .layer_call import Refused, call_arguments
from .lifted import lifted_call, lifting_statements
from .linen_names import LinenNames
from .liveness import dead
from .loops import COMPREHENSIONS, counter, loops_of
from .names_in import read, stored, targets
from .plan import ClassPlan, Member, variable_class
from .text import Edits, wrapped_call


class CallWriter:
  """Edits the text of one class's methods in place of the originals."""

  def __init__(
    self, plan: ClassPlan, edits: Edits, names: LinenNames, plans: Mapping[str, ClassPlan] | None = None
  ) -> None:
    self.plan = plan
    self.plans = plans or {}
    self.edits = edits
    self.source = edits.source
    self.names = names
    self.values = plan.analysis.record.values
    self.by_node = {id(member.creation.node): member for member in plan.members}
    self.iterators: dict[int, dict[str, str]] = {}
    self.nodes = plan.source.module.nodes
    self.own = {id(method.node): method.node for method in plan.source.own_methods.values()}

  def value(self, node: ast.AST) -> Any:
    seen = self.values.get(id(node))
    return seen[-1] if seen else None

  # -- reading attributes ---------------------------------------------------------------------------

  def rewrite(self, method: ast.FunctionDef, init: InitWriter | None) -> None:
    """Registers all edits of one method other than `setup`."""
    self._names(method)
    for member in self.plan.members:
      if member.creation.inside is method and member.inside is None and not member.from_setup:
        self._creation(member, method, init)
    self._variables(method)
    self._module_interface(method)
    settled = module_api.rewrite_variables(self.plan, method, self.edits)
    settled |= given_weights.rewrite_trees(self.plan, self.plans, method, self.edits)
    settled |= given_weights.rewrite_applies(self.plan, method, self.edits, self.names)
    module_api.refuse_linen_only(self.plan, method, self.values, settled)
    self._flags(method)
    if init is not None:
      self._remove(method, init)
    self._calls(method)
    initializing.settle(method, method.args.args[0].arg if method.args.args else 'self', self.edits)
    self._decorators(method)

  def _names(self, method: ast.AST) -> None:
    skip: set[ast.AST] = {
      child for member in self.plan.members if member.creation.lift is not None
      for child in self.nodes.walk(member.creation.lift.node)
    }
    for node in self.nodes.walk(method):
      if not isinstance(node, (ast.Name, ast.Attribute)) or node in skip:
        continue
      new = self.names.rename(node, method)
      if new is not None:
        self.edits.replace(node, new)
      if self.names.qualified(node, method) is not None:
        skip.update(self.nodes.walk(node))

  def _creation(self, member: Member, method: ast.FunctionDef, init: InitWriter | None) -> None:
    if member.lazy:
      self._on_demand(member, method)
    self.edits.replace(member.creation.node, self._read(member, method))

  def _on_demand(self, member: Member, method: ast.FunctionDef) -> None:
    """Makes a variable in front of the statement that asks for it, if no call has made it yet."""
    node = member.creation.node
    statement = next(item for item in reversed(list(_statements(method))) if self.nodes.inside(node, item))
    named = {item.arg: item.value for item in node.keywords}
    init = named.get('init_fn') or (node.args[2] if len(node.args) > 2 else None)
    if init is None or set(named) - {'init_fn', 'col', 'name'}:
      raise Refused(f'self.variable with unusual arguments (line {node.lineno})')
    if isinstance(init, ast.Lambda) and not init.args.args:
      first = self.edits.node(init.body)
    else:
      first = f'{self.edits.node(init)}({", ".join(self.edits.node(item) for item in node.args[3:])})'
    kind = variable_class(self.plan, member.creation.target)
    indent = self.source.indent(statement)
    start = self.source.line_start(self.source.own_start(statement))
    text = f'{indent}if self.{member.attribute} is None:\n{indent}{_unit_of(method, self.source)}self.{member.attribute} = {kind}({first})\n'
    self.edits.replace_range(start, start, text)

  def _read(self, member: Member, method: ast.FunctionDef) -> str:
    suffix = '[...]' if member.creation.kind == 'param' else ''
    if member.container is not None:
      self.edits.replace(member.container, f'self.{member.attribute}')
      return f'self.{member.attribute}'
    if not member.listed:
      return f'self.{member.attribute}{suffix}'
    if member.key is not None:
      return f'self.{member.attribute}[{member.key_text}]{suffix}'
    loops = loops_of(member.creation.path)
    index = self._index(member, loops)
    if index is not None:
      return f'self.{member.attribute}[{index}]{suffix}'
    outer = self.iterators.setdefault(id(loops[0]), {})
    name = outer.setdefault(member.attribute, self._free(method, member.attribute))
    return f'next({name}){suffix}'

  def _free(self, method: ast.FunctionDef, wanted: str) -> str:
    from .names_in import function_locals

    taken = function_locals(method) | {name for names in self.iterators.values() for name in names.values()}
    name = wanted
    while name in taken:
      name += '_'
    return name

  def _index(self, member: Member, loops: list[Any]) -> str | None:
    """Returns the loop variable if it counts the passes from 0 and every pass makes one element."""
    if len(loops) != 1 or member.creation.path[-1][0] is not loops[0]:
      return None
    if any(other is not member and other.attribute == member.attribute for other in self.plan.members):
      return None
    loop = loops[0]
    if isinstance(loop, COMPREHENSIONS):
      clause = loop.generators[0]
      return counter(clause.target, clause.iter) if len(loop.generators) == 1 and not clause.ifs else None
    name = counter(loop.target, loop.iter)
    changed = any(name in targets(child) for statement in loop.body for child in ast.walk(statement))
    skips = any(isinstance(child, ast.Continue) for statement in loop.body for child in ast.walk(statement))
    return None if changed or skips else name

  def _variables(self, method: ast.FunctionDef) -> None:
    for node in self.nodes.walk(method):
      if (
        isinstance(node, ast.Attribute)
        and node.attr == 'value'
        and isinstance(self.value(node.value), VariableRef)
      ):
        self.edits.replace_range(self.source.end(node.value), self.source.end(node), '[...]')
      elif (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == 'self'
        and isinstance(node.ctx, ast.Load)
      ):
        member = self._setup_param(node.attr)
        if member is not None:
          self.edits.replace_range(self.source.end(node), self.source.end(node), '[...]')

  def _setup_param(self, attribute: str) -> Member | None:
    return next(
      (
        member
        for member in self.plan.members
        if member.from_setup
        and member.attribute == attribute
        and member.creation.kind == 'param'
        and member.container is None
      ),
      None,
    )

  def _module_interface(self, method: ast.FunctionDef) -> None:
    for node in self.nodes.walk(method):
      if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == 'self'
      ):
        continue
      if node.func.attr == 'make_rng' and 'make_rng' not in self.plan.source.methods:
        self.edits.replace(node, self._stream(node))
      elif (
        node.func.attr == 'is_mutable_collection'
        and 'is_mutable_collection' not in self.plan.source.methods
        and not initializing.asks_for_params(node)
      ):
        self.edits.replace(
          node,
          '(not self.use_running_average)' if self._negated(node, method) else 'not self.use_running_average',
        )
      elif node.func.attr == 'has_variable' and 'has_variable' not in self.plan.source.methods:
        self._exists(node)
      elif node.func.attr == 'sow' and 'sow' not in self.plan.source.methods and node.args:
        self._sow(node)

  def _negated(self, node: ast.AST, method: ast.AST) -> bool:
    return any(
      isinstance(item, (ast.UnaryOp, ast.Compare))
      and any(child is node for child in ast.iter_child_nodes(item))
      for item in self.nodes.walk(method)
    )

  def _exists(self, node: ast.Call) -> None:
    name = node.args[1].value if len(node.args) == 2 and isinstance(node.args[1], ast.Constant) else None
    member = next(
      (item for item in self.plan.members if item.lazy and item.creation.arguments.get('name') == name), None
    )
    if member is None:
      raise Refused(f'self.has_variable asks for a variable that is always there (line {node.lineno})')
    self.edits.replace(node, f'self.{member.attribute} is not None')

  def _stream(self, node: ast.Call) -> str:
    name = node.args[0] if node.args else next((item.value for item in node.keywords), ast.Constant('params'))
    if isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value.isidentifier():
      return f'self.rngs.{name.value}()'
    return f'self.rngs[{self.edits.node(name)}]()'

  def _sow(self, node: ast.Call) -> None:
    collection = node.args[0]
    if not (isinstance(collection, ast.Constant) and isinstance(collection.value, str)):
      raise Refused(f'self.sow into a computed collection (line {node.lineno})')
    self.edits.replace(collection, variable_class(self.plan, collection.value))

  def _flags(self, method: ast.FunctionDef) -> None:
    for node in self.nodes.walk(method):
      if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == 'self'
        and node.attr in self.plan.call_fields
      ):
        self.edits.replace(node, node.attr)

  # -- calls -------------------------------------------------------------------------------------

  def _calls(self, method: ast.FunctionDef) -> None:
    uses: dict[int, tuple[ast.Call, list[Member]]] = {}
    for member in self.plan.members:
      for use in member.creation.uses:
        if use.method == '__call__' and self.nodes.inside(use.node, method):
          uses.setdefault(id(use.node), (use.node, []))[1].append(member)
    for node, members in sorted(
      uses.values(), key=lambda item: self.source.end(item[0]) - self.source.own_start(item[0])
    ):
      self._call(node, members)

  def _call(self, node: ast.Call, members: list[Member]) -> None:
    if any(member.creation.lift is not None for member in members):
      text = lifted_call(node, members, self.edits.node, self._method_names(node))
      self.edits.replace(node, text)
      return
    written = {tuple(self._arguments(node, member)) for member in members}
    if len(written) != 1:
      raise Refused(f'the modules called in line {node.lineno} need different arguments')
    arguments = list(written.pop())
    plain = [self.edits.node(item) for item in node.args] + [
      f'**{self.edits.node(item.value)}' if item.arg is None else f'{item.arg}={self.edits.node(item.value)}'
      for item in node.keywords
    ]
    broken = any(
      node.func is member.creation.node and node.lineno != node.func.end_lineno for member in members
    )
    if arguments == plain and (
      not broken or '#' in self.source.slice(self.source.end(node.func), self.source.end(node))
    ):
      return
    head = self.edits.node(node.func)
    indent = self.source.indent(node)
    before = self.source.own_start(node) - self.source.line_start(self.source.own_start(node)) - len(indent)
    self.edits.replace(node, wrapped_call(head, arguments, indent, 100 - before))

  def _method_names(self, node: ast.Call) -> set[str]:
    """Names that mean something in the method a call stands in."""
    method = next(method for method in self.own.values() if self.nodes.inside(node, method))
    return {item.id for item in ast.walk(method) if isinstance(item, ast.Name)}

  def _arguments(self, node: ast.Call, member: Member) -> list[str]:
    extra = {name: self._moved(item, member) for name, item in member.on_call.items()}
    if member.record is not None:
      if node is member.creation.node:
        return []
      if member.inside is not None and member.inside.record is not None:
        return [self.edits.node(item) for item in node.args] + [
          f'**{self.edits.node(item.value)}'
          if item.arg is None
          else f'{item.arg}={self.edits.node(item.value)}'
          for item in node.keywords
        ]
      return call_arguments(member.record, node, self.edits.node, extra)
    arguments = [self.edits.node(item) for item in node.args]
    arguments += [
      f'**{self.edits.node(item.value)}' if item.arg is None else f'{item.arg}={self.edits.node(item.value)}'
      for item in node.keywords
    ]
    if member.child is not None:
      extra.update({name: name for name in member.child.threaded})
    return arguments + [f'{name}={text}' for name, text in extra.items()]

  def _moved(self, node: ast.expr, member: Member) -> str:
    """Text of a flag that moves from a constructor to the call; it may come from a partial of the user class."""
    method = member.creation.inside
    if any(self.nodes.inside(node, own) for own in (method, *self.own.values())):
      return self.edits.node(node)
    return ast.unparse(node)

  # -- removing what only builds ------------------------------------------------------------------

  def _remove(self, method: ast.FunctionDef, init: InitWriter) -> None:
    candidates = {
      key: node
      for key, node in init.definitions.items()
      if not isinstance(node, (ast.Import, ast.ImportFrom))
    }
    hidden = {id(member.creation.node) for member in self.plan.members if member.creation.inside is method}
    candidates.update(lifting_statements(method, self.plan.members))
    hidden |= {id(member.container) for member in self.plan.members if member.container is not None}
    flags = {name for member in self.plan.members for item in member.on_call.values() for name in read(item)}
    gone = dead(method.body, candidates.values(), hidden, flags)
    removed = {key: node for key, node in candidates.items() if key in gone}
    while _keep_blocks(method.body, removed):
      pass
    for statement in _outermost(method.body, set(removed)):
      self._delete(statement)
    self._iterate(method, init, removed, hidden)
    self.removed = removed

  def _delete(self, statement: ast.stmt) -> None:
    start = self.source.leading_comments(statement, 0)
    end = self.source.line_end(self.source.end(statement) - 1 if self.source.end(statement) else 0)
    end = max(end, self.source.line_end(self.source.end(statement)))
    above = self.source.slice(self.source.line_start(start - 1) if start else 0, start)
    if not above.strip() and not self.source.slice(end, self.source.line_end(end)).strip():
      end = self.source.line_end(end)  # no two empty lines where the statement was
    self.edits.replace_range(start, end, '')

  def _iterate(
    self, method: ast.FunctionDef, init: InitWriter, removed: dict[int, ast.stmt], hidden: set[int]
  ) -> None:
    for node in self.nodes.walk(method):
      if id(node) not in self.iterators:
        continue
      over = (
        self._over_elements(node)
        if isinstance(node, COMPREHENSIONS)
        else (isinstance(node, ast.For) and self._over_members(node, removed, hidden))
      )
      if not over:
        statement = next(item for item in reversed(list(_statements(method))) if self.nodes.inside(node, item))
        indent = self.source.indent(statement)
        lines = ''.join(
          f'{indent}{local} = iter(self.{attribute})\n'
          for attribute, local in self.iterators[id(node)].items()
        )
        start = self.source.leading_comments(statement, 0)
        self.edits.replace_range(start, start, lines)

  def _over_elements(self, comprehension: Any) -> bool:
    """`[nn.Dense(f)(x) for f in self.features]` -> `[linear(x) for linear in self.linear]`."""
    clause = comprehension.generators[0]
    if len(comprehension.generators) != 1 or clause.ifs or clause.is_async:
      return False
    members = [
      member
      for member in self.plan.members
      if member.listed
      and member.key is None
      and member.creation.path
      and member.creation.path[-1][0] is comprehension
    ]
    names = self.iterators[id(comprehension)]
    if len({member.attribute for member in members}) != len(members) or {
      member.attribute for member in members
    } != set(names):
      return False
    hidden = {id(member.creation.node) for member in members}
    parts = (
      (comprehension.key, comprehension.value)
      if isinstance(comprehension, ast.DictComp)
      else (comprehension.elt,)
    )
    needed = stored(clause.target) & {name for part in parts for name in read(part, hidden)}
    for member in members:
      self.edits.replace(
        member.creation.node, names[member.attribute] + ('[...]' if member.creation.kind == 'param' else '')
      )
    made = [names[member.attribute] for member in members]
    lists = [f'self.{member.attribute}' for member in members]
    if needed:
      target = self.edits.node(clause.target)
      made.insert(
        0, f'({target})' if isinstance(clause.target, ast.Tuple) and not target.startswith('(') else target
      )
      lists.insert(0, self.edits.node(clause.iter))
    self.edits.replace(clause.target, ', '.join(made))
    self.edits.replace(clause.iter, lists[0] if len(lists) == 1 else f'zip({", ".join(lists)})')
    return True

  def _over_members(self, loop: ast.For, removed: dict[int, ast.stmt], hidden: set[int]) -> bool:
    """`for f in self.features: x = next(linear)(x)` -> `for linear in self.linear: x = linear(x)`."""
    members = [
      member
      for member in self.plan.members
      if member.listed and any(node is loop for node, _ in member.creation.path)
    ]
    if any(member.creation.path[-1][0] is not loop for member in members) or loop.orelse:
      return False
    if len({member.attribute for member in members}) != len(members) or any(
      isinstance(child, (ast.Continue, ast.Break)) for child in ast.walk(loop)
    ):
      return False
    if stored(loop.target) & (_reads(loop.body, removed, hidden) | _reads_after(loop, self.plan, hidden)):
      return False
    if contains(self.value(loop.iter), VariableRef):
      return False
    names = self.iterators[id(loop)]
    for member in members:
      self.edits.replace(
        member.creation.node, names[member.attribute] + ('[...]' if member.creation.kind == 'param' else '')
      )
    lists = ', '.join(f'self.{member.attribute}' for member in members)
    target = ', '.join(names[member.attribute] for member in members)
    self.edits.replace(loop.target, target)
    self.edits.replace(loop.iter, lists if len(members) == 1 else f'zip({lists})')
    return True

  def _decorators(self, method: ast.FunctionDef) -> None:
    for node in method.decorator_list:
      name = self.names.qualified(node)
      if name in ('flax.linen.compact', 'flax.linen.nowrap'):
        start = self.source.line_start(self.source.own_start(node))
        self.edits.replace_range(start, self.source.line_end(self.source.end(node)), '')


def _unit_of(method: ast.FunctionDef, source: Any) -> str:
  return source.indent(method.body[0])[len(source.indent(method)) :]


def _statements(method: ast.FunctionDef) -> Any:
  """Yields the statements of a method, outer ones before those inside them; nested functions are left out."""
  waiting: list[ast.stmt] = list(method.body)
  while waiting:
    statement = waiting.pop(0)
    yield statement
    if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
      for part in ('body', 'orelse', 'finalbody'):
        waiting += getattr(statement, part, [])


def _reads(body: list[ast.stmt], removed: dict[int, ast.stmt], hidden: set[int]) -> set[str]:
  found: set[str] = set()
  for statement in body:
    if id(statement) in removed:
      continue
    if isinstance(statement, (ast.If, ast.For, ast.While, ast.With)):
      inner = _reads(statement.body, removed, hidden) | _reads(
        getattr(statement, 'orelse', []), removed, hidden
      )
      found |= inner
      if not _emptied(statement, set(removed)):
        for field in ('test', 'iter'):
          if hasattr(statement, field):
            found |= read(getattr(statement, field), hidden)
        for item in getattr(statement, 'items', []):
          found |= read(item, hidden)
      continue
    found |= read(statement, hidden)
  return found


def _reads_after(loop: ast.For, plan: ClassPlan, hidden: set[int]) -> set[str]:
  """Names read behind the loop in its method (a loop variable outlives its loop)."""
  nodes = plan.source.module.nodes
  method = next((m.node for m in plan.source.own_methods.values() if nodes.inside(loop, m.node)), None)
  if method is None:
    return set()
  return {
    node.id
    for node in nodes.walk(method)
    if isinstance(node, ast.Name)
    and isinstance(node.ctx, ast.Load)
    and node.lineno > loop.lineno
    and not nodes.inside(node, loop)
  }


def _emptied(statement: ast.stmt, removed: set[int]) -> bool:
  """Tells whether all statements of a compound statement are removed."""
  if id(statement) in removed:
    return True
  if not isinstance(statement, (ast.If, ast.For, ast.While, ast.With)):
    return False
  body = [*statement.body, *getattr(statement, 'orelse', [])]
  # A `raise` beside what is removed has moved along.
  rest = [item for item in body if not isinstance(item, ast.Raise)]
  return bool(rest) and all(_emptied(item, removed) for item in rest)


def _keep_blocks(body: list[ast.stmt], removed: dict[int, ast.stmt]) -> bool:
  """Takes back removals that would leave a branch without a statement; returns True if there were any."""
  found = False
  for statement in body:
    if not isinstance(statement, (ast.If, ast.For, ast.While, ast.With)) or _emptied(statement, set(removed)):
      continue
    for block in (statement.body, getattr(statement, 'orelse', [])):
      if block and all(_emptied(item, set(removed)) for item in block):
        for item in ast.walk(ast.Module(block, [])):
          found |= removed.pop(id(item), None) is not None
      else:
        found |= _keep_blocks(block, removed)
  return found


def _outermost(body: list[ast.stmt], removed: set[int]) -> list[ast.stmt]:
  """Returns the statements to delete: a compound statement whose whole content goes is deleted itself."""
  found: list[ast.stmt] = []
  for statement in body:
    if _emptied(statement, removed):
      found.append(statement)
      continue
    for part in ('body', 'orelse', 'finalbody'):
      inner = getattr(statement, part, [])
      if (
        inner
        and isinstance(inner, list)
        and isinstance(inner[0], ast.stmt)
        and not isinstance(statement, (ast.FunctionDef, ast.ClassDef))
      ):
        gone = _outermost(inner, removed)
        found += gone
  return found


__all__ = ['CallWriter', 'Late', 'Partial', '_in_order']
