"""Decides what becomes of one class: eligibility, members, names."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from migrator.shapes.values import Instance, Late, Opaque, Partial, contains
from migrator.source.nodes import Nodes
from rewrites.bridge import AS_LINEN
from rewrites.registry import layer_for, manual_reason

from .bridge.linen_member import check as check_bridged
from .expand.wanted import runs_often, twice
from .layer_call import Refused
from .linen_faces import uses_linen_face
from .loops import key_of, loops_of, resolved_name
from .naming import (
  Namer,
  automatic,
  explicit_name,
  from_template,
  identifier,
  linen_automatic,
  snake,
  template,
)
from .plan import ClassPlan, Member
from .text import text_of

_LINEN_MODULE = 'flax.linen.Module'
_PLAIN_BASES = ('typing.Generic', 'abc.ABC', 'typing.Protocol', 'builtins.object')
_CONTAINERS = (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp, ast.GeneratorExp, ast.SetComp)
_VARIABLES = ('param', 'variable')


def eligible(plan: ClassPlan, plans: Mapping[str, ClassPlan], project: Any) -> None:
  """Raises Refused with all reasons why the class cannot be native."""
  source, record = plan.source, plan.analysis.record
  reasons = [f'{text} (line {line})' for line, text in dict.fromkeys(record.refusals)]
  reasons += _bases(source, plans)
  reasons += _faces(source)
  if source.in_function:
    reasons.append('the class is defined inside a function')
  if '__post_init__' in source.own_methods:
    reasons.append('__post_init__ changes the fields')
  for name in ('__getattr__', '__setattr__', '__hash__', '__eq__'):
    if name in source.own_methods:
      reasons.append(f'{name} is overridden')
  for method in source.own_methods.values():
    reasons += _decorators(method)
  line = uses_linen_face(source, project)
  if line is not None:
    reasons.append(f'it uses a class that is NNX now as a Linen class (line {line})')
  if source.node.keywords:
    reasons.append(f'class arguments ({", ".join(str(item.arg) for item in source.node.keywords)})')
  if reasons:
    raise Refused('; '.join(dict.fromkeys(reasons)))


def _bases(source: Any, plans: Mapping[str, ClassPlan]) -> list[str]:
  reasons = [f'the base {text} cannot be followed' for text in source.unresolved]
  for base in source.bases:
    if base == _LINEN_MODULE or base in _PLAIN_BASES:
      continue
    if base.startswith('flax.linen.'):
      reasons.append(f'it inherits from the layer {base.replace("flax.linen", "nn")}')
    elif base in plans and not plans[base].native:
      reasons.append(f'its base {base} stays Linen')
  return reasons


def _faces(source: Any) -> list[str]:
  """A Linen class that an earlier run gave NNX classes through `as_linen`: what that makes works in Linen only."""
  for node in source.module.nodes.walk(source.node):
    if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
      name = source.project.resolve_node(source.module, node.func) or ''
      if name.endswith((f'nnx_helpers:{AS_LINEN.name}', f'nnx_helpers.{AS_LINEN.name}')):
        return [f'it makes NNX modules through {AS_LINEN.name}; make them without it first (line {node.lineno})']
  return []


def _decorators(method: Any) -> list[str]:
  reasons = []
  for name, node in zip(method.decorators, method.node.decorator_list):
    if (
      name is not None
      and name.startswith('flax.linen.')
      and name not in ('flax.linen.compact', 'flax.linen.nowrap')
    ):
      reasons.append(
        f'{method.name} is decorated with {name.replace("flax.linen", "nn")} (line {node.lineno})'
      )
    elif name is None and isinstance(node, ast.Call):
      inner = ast.unparse(node.func)
      if inner.startswith(('nn.', 'linen.')) or 'partial' in inner:
        reasons.append(f'{method.name} is decorated with {inner} (line {node.lineno})')
  return reasons


def own_creations(plan: ClassPlan) -> list[Any]:
  """Returns the creations written in the class itself.

  Raises:
    Refused: one stands where it cannot be moved from, or is reached several times in one run.
  """
  methods = {id(method.node): method for method in plan.source.own_methods.values()}
  inherited = {id(method.node) for base in plan.source.mro[1:] for method in base.own_methods.values()}
  found: dict[int, Any] = {}
  for creation in plan.analysis.record.order:
    creation.others = []
  for creation in plan.analysis.record.order:
    if creation.kind in ('rng', 'sow', 'has', 'mutable'):
      continue
    if id(creation.inside) in inherited:
      continue
    if id(creation.inside) not in methods:
      where = getattr(creation.inside, 'name', 'a lambda')
      raise Refused(f'{_short(creation)} is made inside the function {where} (line {creation.line})')
    if runs_often(creation, plan.source):
      raise Refused(f'{_short(creation)} is made by a method that runs several times (line {creation.line})')
    old = found.get(id(creation.node))
    if old is None:
      found[id(creation.node)] = creation
      continue
    if old.target != creation.target:
      old = _other_class(old, creation)
      if old is None:
        continue
    if twice(old, creation, plan.source):
      raise Refused(f'{_short(creation)} is made by a method that runs several times (line {creation.line})')
    old.uses.extend(use for use in creation.uses if use not in old.uses)
  return list(found.values())


def _other_class(first: Any, creation: Any) -> Any:
  """Keeps a class that the same call makes on another condition; returns the earlier creation of that class, if any."""
  if first.kind != 'class' or creation.kind != 'class':
    raise Refused(f'{ast.unparse(creation.node.func)} makes different classes (line {creation.line})')
  known = next((other for other in first.others if other.target == creation.target), None)
  if known is None:
    first.others.append(creation)
  return known


def _short(creation: Any) -> str:
  return creation.target.replace('flax.linen', 'nn').split(':')[-1] or creation.kind


def plan_members(plan: ClassPlan, plans: Mapping[str, ClassPlan], linen_names: bool) -> None:
  """Fills `plan.members` in construction order, with names.

  Raises:
    Refused: a member cannot be native.
  """
  creations = own_creations(plan)
  nodes = plan.source.module.nodes
  members = {id(creation.node): _member(plan, creation, plans) for creation in creations}
  _lazy(plan, list(members.values()))
  for member in members.values():
    _place(plan, member, members, nodes)
    for other in member.alternatives:
      other.inside, other.slot, other.container = member.inside, member.slot, member.container
      other.listed, other.extended, other.from_setup = member.listed, member.extended, member.from_setup
      other.key, other.key_text, other.key_part = member.key, member.key_text, member.key_part
  plan.members = list(members.values())
  _name(plan, plans, nodes, linen_names)


def _lazy(plan: ClassPlan, members: list[Member]) -> None:
  """Variables whose existence the class asks for are made by the call, as in Linen."""
  for asked in plan.analysis.record.order:
    if asked.kind != 'has':
      continue
    found = [
      member
      for member in members
      if member.creation.kind == 'variable'
      and member.creation.target == asked.target
      and member.creation.arguments.get('name') == asked.arguments['name']
    ]
    if not found:
      raise Refused(f'self.has_variable asks for a variable the class does not make (line {asked.line})')
    # What is made beside it is made at the same moment.
    for member in members:
      if (
        member.creation.kind == 'variable'
        and member.creation.target == asked.target
        and any(member.creation.inside is other.creation.inside for other in found)
      ):
        member.lazy = True


def _member(plan: ClassPlan, creation: Any, plans: Mapping[str, ClassPlan]) -> Member:
  member = Member(creation, '')
  member.from_setup = getattr(creation.inside, 'name', '') == 'setup'
  member.alternatives = [_alternative(plan, other, plans) for other in creation.others]
  written = _name_node(creation) if creation.kind in _VARIABLES else creation.name_node
  member.name_node = resolved_name(written, creation.inside)
  if creation.kind == 'layer':
    member.record = layer_for(creation.target)
    if member.record is None:
      reason = manual_reason(creation.target) or f'{creation.target} has no record'
      raise Refused(f'{creation.target.replace("flax.linen", "nn")}: {reason} (line {creation.line})')
  elif creation.kind == 'class':
    member.child = plans.get(creation.target)
    if creation.target == plan.name:
      raise Refused(f'it makes itself (line {creation.line})')
    if member.child is None:
      raise Refused(f'{creation.target} is made before its own plan is known (line {creation.line})')
    if not member.child.native:
      stays, member.child = member.child, None
      member.stays = stays
      check_bridged(member, stays)
  elif not isinstance(creation.arguments.get('name'), str) and from_template(member.name_node) is None:
    raise Refused(f'a variable with a computed name (line {creation.line})')
  return member


def _alternative(plan: ClassPlan, creation: Any, plans: Mapping[str, ClassPlan]) -> Member:
  member = _member(plan, creation, plans)
  if member.child is None:
    line = creation.line
    raise Refused(f'{ast.unparse(creation.node.func)} makes different classes, and {creation.target} stays Linen (line {line})')
  return member


def _name_node(creation: Any) -> ast.expr:
  position = 0 if creation.kind == 'param' else 1
  if len(creation.node.args) > position:
    return creation.node.args[position]
  return next((item.value for item in creation.node.keywords if item.arg == 'name'), ast.Constant(None))


def _place(plan: ClassPlan, member: Member, members: dict[int, Member], nodes: Nodes) -> None:
  """Finds the member or the container that a creation stands in."""
  node: ast.AST = member.creation.node
  called = False
  while not isinstance(node, ast.stmt) and (parent := nodes.parent(node)) is not None:
    if id(parent) in members and isinstance(parent, ast.Call) and node is not parent.func:
      member.inside = members[id(parent)]
      member.slot = _slot(parent, node, members[id(parent)])
      return
    if (
      isinstance(parent, _CONTAINERS)
      and not called
      and (not isinstance(parent, ast.Tuple) or _kept_tuple(parent, nodes))
    ):
      member.container = parent
    if isinstance(parent, ast.Call) and node is parent.func or isinstance(parent, (ast.BinOp, ast.Attribute)):
      member.container, called = None, True
    node = parent
  loops = loops_of(member.creation.path)
  if any(isinstance(item, ast.While) for item in loops):
    raise Refused(f'{_short(member.creation)} is made in a while loop (line {member.creation.line})')
  member.listed = bool(loops) and not member.from_setup and member.container is None
  if member.listed:
    if not _holds_nothing(member):
      member.key = key_of(member.name_node, member.creation.path)
    member.key_text, member.key_part = _key_texts(plan, member)
  if member.from_setup and member.creation.kind in ('layer', 'class'):
    _stored_plainly(member, nodes)
    member.extended = _in_extended(member, nodes)


def _in_extended(member: Member, nodes: Nodes) -> bool:
  """Tells whether the module is in a list of `setup` that statements add to: its place is known by order alone."""
  statement: ast.AST | None = member.creation.node
  while statement is not None and not isinstance(statement, ast.stmt):
    statement = nodes.parent(statement)
  if isinstance(statement, ast.Expr):
    return _appended(statement.value) is not None
  target = getattr(statement, 'target', None) or getattr(statement, 'targets', [None])[0]
  if isinstance(target, ast.Name):
    return any(_appended(node) == target.id for node in ast.walk(member.creation.inside))
  return isinstance(target, ast.Attribute) and any(
    isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute) and node.target.attr == target.attr
    for node in ast.walk(member.creation.inside)
  )



def _holds_nothing(member: Member) -> bool:
  """Tells whether a class makes nothing, so that the names of its instances stand for no variables."""
  child = member.child
  return child is not None and not child.analysis.record.order and not child.members and not any(
    base in child.source.project.classes for base in child.source.bases
  )


def _appended(node: ast.AST) -> str | None:
  """Returns the variable that `layers.append(...)` adds to."""
  plain = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == 'append'
  return node.func.value.id if plain and isinstance(node.func.value, ast.Name) else None  # type: ignore[attr-defined]


def _stored_plainly(member: Member, nodes: Nodes) -> None:
  """Refuses what setup stores in another way than as an attribute, a flat list or a dict of modules."""
  node: ast.AST = member.creation.node
  containers = 0
  while not isinstance(node, ast.stmt) and (parent := nodes.parent(node)) is not None:
    containers += isinstance(parent, _CONTAINERS) and (
      not isinstance(parent, ast.Tuple) or _kept_tuple(parent, nodes)
    )
    plain = isinstance(parent, (ast.stmt, ast.IfExp, ast.Tuple, *_CONTAINERS)) or _is_conversion(parent)
    added = (
      isinstance(parent, ast.Call)
      and isinstance(parent.func, ast.Attribute)
      and parent.func.attr in ('append', 'insert')
    )
    extends = isinstance(parent, ast.AugAssign) and not _extends(parent, member)
    if not (plain or added and not containers) or containers > 1 or extends:
      raise Refused(
        f'{_short(member.creation)} is put into a nested list or an expression in setup (line {member.creation.line})'
      )
    node = parent


def _extends(statement: ast.AugAssign, member: Member) -> bool:
  """Tells whether the statement is `self.layers += (creation, ...)`."""
  return (
    isinstance(statement.op, ast.Add)
    and isinstance(statement.target, ast.Attribute)
    and isinstance(statement.value, (ast.Tuple, ast.List))
    and member.creation.node in statement.value.elts
  )


def _is_conversion(node: ast.AST) -> bool:
  return (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Name)
    and node.func.id in ('tuple', 'list')
    and len(node.args) == 1
  )


def _kept_tuple(node: ast.Tuple, nodes: Nodes) -> bool:
  """Tells whether a tuple is stored as an attribute: `self.pair = (a, b)`, not `self.a, self.b = a, b`."""
  statement = nodes.parent(node)
  return (
    isinstance(statement, ast.Assign)
    and statement.value is node
    and isinstance(statement.targets[0], ast.Attribute)
  )


def _key_texts(plan: ClassPlan, member: Member) -> tuple[str, str]:
  """Returns the key of an nnx.Dict as an expression, and as a template: Linen's name, never a mere number."""
  if member.key is None or member.name_node is None:
    return '', '{}'
  if not isinstance(member.name_node, ast.Name):
    return text_of(plan.source.module).node(member.name_node), template(member.name_node) or '{}'
  value = member.creation.names.get(member.key)
  if isinstance(value, str) or (isinstance(value, Opaque) and value.kind == 'str'):
    return member.key, '{}'
  return f"f'n{{{member.key}}}'", 'n{}'


def _slot(parent: ast.Call, node: ast.AST, owner: Member) -> tuple[str, ...]:
  """Returns the attribute path inside `owner` of one of its constructor arguments."""
  keyword = next((item.arg for item in parent.keywords if item is node or item.value is node), None)
  if owner.record is not None:
    names = [argument.linen for argument in owner.record.arguments]
    name = keyword or names[parent.args.index(node)]  # type: ignore[arg-type]
    child = next((child for child in owner.record.children if child.argument == name), None)
    if child is None:
      raise Refused(f'{_short(owner.creation)} takes a module as {name} (line {parent.lineno})')
    return (child.nnx,)
  fields = list(owner.child.source.fields) if owner.child is not None else []
  if keyword is not None:
    return (keyword,)
  return (fields[parent.args.index(node)],)  # type: ignore[arg-type]


# -- names ----------------------------------------------------------------------------------------


def _name(plan: ClassPlan, plans: Mapping[str, ClassPlan], nodes: Nodes, linen_names: bool) -> None:
  taken = (
    set(plan.source.fields)
    | set(plan.source.methods)
    | {name for base in plan.source.mro for name in base.constants}
  )
  for base in plan.source.mro[1:]:
    taken |= _attributes_of(base)
    taken |= {member.attribute for member in plans[base.name].members} if base.name in plans else set()
  namer = Namer(taken - set(plan.call_fields))
  outer = [member for member in plan.members if member.inside is None]
  for member in outer:
    if member.from_setup:
      member.attribute = _setup_attribute(member, nodes) or ''
  namer.taken |= {member.attribute for member in outer if member.attribute}
  _containers(outer, namer, nodes)
  for member in outer:
    if not member.attribute:
      wanted = _wanted(member)
      if wanted is not None:
        same = next(
          (other for other in outer if other.attribute == wanted and _exclusive(member, other)), None
        )
        member.attribute = wanted if same is not None else namer.claim(wanted)
  rest = [member for member in outer if not member.attribute]
  stems = [_stem(member, linen_names) for member in rest]
  names = (
    linen_automatic(stems, [member.listed for member in rest], namer)
    if linen_names
    else automatic(stems, namer)
  )
  for member, name in zip(rest, names):
    member.attribute = name
  for member in plan.members:
    for other in member.alternatives:
      other.attribute = member.attribute


def _attributes_of(base: Any) -> set[str]:
  return {
    node.attr
    for method in base.own_methods.values()
    for node in ast.walk(method.node)
    if isinstance(node, ast.Attribute)
    and isinstance(node.value, ast.Name)
    and node.value.id == 'self'
    and isinstance(node.ctx, ast.Store)
  }


def _exclusive(member: Member, other: Member) -> bool:
  """Two creations in different branches of one `if` may share a name."""
  mine = {id(node): branch for node, branch in member.creation.path if isinstance(node, ast.If)}
  return any(
    mine.get(id(node), branch) != branch for node, branch in other.creation.path if isinstance(node, ast.If)
  )


def _wanted(member: Member) -> str | None:
  name = explicit_name(member.creation)
  if name is not None:
    return identifier(name)
  if member.name_node is None or isinstance(member.name_node, ast.Constant):
    return None
  return from_template(member.name_node)


def _stem(member: Member, linen_names: bool) -> str:
  if member.alternatives and isinstance(member.creation.node.func, ast.Name):
    return member.creation.node.func.id.removesuffix('_cls')
  short = member.creation.target.rsplit('.', 1)[-1].rsplit(':', 1)[-1]
  if linen_names:
    return short
  if member.creation.factory and member.creation.factory.startswith('field:'):
    return member.creation.factory.removeprefix('field:').removesuffix('_cls')
  return member.record.member if member.record is not None else snake(short)


def _setup_attribute(member: Member, nodes: Nodes) -> str | None:
  node: ast.AST = member.creation.node
  while not isinstance(node, ast.stmt) and (parent := nodes.parent(node)) is not None:
    node = parent
  if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
    return node.target.attr
  if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
    if _computed_with(member, node):
      return f'{identifier(str(member.creation.arguments["name"]))}_param'
    return node.targets[0].attr
  return member.creation.value.field if isinstance(member.creation.value, Instance) else None


def _computed_with(member: Member, statement: ast.Assign) -> bool:
  """Tells whether `self.scale = 2 * self.param('scale', ...)` stores something made of the parameter."""
  value = statement.value
  while isinstance(value, ast.IfExp):
    value = value.body if any(child is member.creation.node for child in ast.walk(value.body)) else value.orelse
  return (
    member.creation.kind == 'param'
    and value is not member.creation.node
    and member.container is None
    and not isinstance(value, ast.Tuple)
  )


def _containers(outer: list[Member], namer: Namer, nodes: Nodes) -> None:
  """Creations in one list take the name of the variable the list is assigned to."""
  names: dict[int, str] = {}
  for member in outer:
    if member.container is None or member.from_setup:
      continue
    if id(member.container) not in names:
      statement: ast.AST = member.container
      while not isinstance(statement, ast.stmt) and (parent := nodes.parent(statement)) is not None:
        statement = parent
      whole = isinstance(statement, ast.Assign) and statement.value is member.container
      target = statement.targets[0] if whole and isinstance(statement, ast.Assign) else None
      if not isinstance(target, ast.Name):
        raise Refused(f'{_short(member.creation)} is made inside an expression (line {member.creation.line})')
      names[id(member.container)] = namer.claim(target.id)
    member.attribute = names[id(member.container)]


# -- flags -------------------------------------------------------------------------------------------


def plan_flags(plan: ClassPlan) -> None:
  """Finds the fields that become call arguments, and the flags that come in through a partial.

  Raises:
    Refused: a field is read where the flag is not known, or a threaded name is taken.
  """
  fields = plan.analysis.subject.fields
  call = plan.source.methods.get('__call__')
  for name, value in fields.items():
    if isinstance(value, Late):
      _call_field(plan, name, call)
    elif isinstance(value, Partial) and contains(value, Late):
      _thread(plan, name, value, call)


def _call_field(plan: ClassPlan, name: str, call: Any) -> None:
  if call is None:
    raise Refused(f'the field {name} is only known at the call, but there is no __call__')
  for method in plan.source.methods.values():
    if method.name in ('__call__', 'setup'):
      continue
    if any(
      isinstance(node, ast.Attribute)
      and node.attr == name
      and isinstance(node.value, ast.Name)
      and node.value.id == 'self'
      for node in ast.walk(method.node)
    ):
      raise Refused(f'the field {name} is only known at the call, and {method.name} reads it')
  if call.owner is not plan.source:
    raise Refused(f'the field {name} is only known at the call, and __call__ is inherited')
  arguments = call.node.args
  if name in {item.arg for item in (*arguments.args, *arguments.kwonlyargs)}:
    if not _merged(plan, call, name):
      raise Refused(f'{name} is a field and an argument of __call__')
    plan.merged.add(name)
    return
  field = plan.source.fields[name]
  annotation = f': {ast.unparse(field.annotation)}' if field.annotation is not None else ''
  default = (
    ''
    if field.default is None
    else (f' = {ast.unparse(field.default)}' if annotation else f'={ast.unparse(field.default)}')
  )
  plan.call_fields[name] = f'{name}{annotation}{default}'


def _merged(plan: ClassPlan, call: Any, name: str) -> bool:
  """Tells whether `__call__` reads a field only to merge it with its argument of the same name."""
  reads, merges = 0, 0
  for method in plan.source.methods.values():
    for node in ast.walk(method.node):
      if (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == 'self'
      ):
        reads += 1
      if isinstance(node, ast.Call) and method.name == '__call__':
        called = plan.source.project.resolve_node(method.owner.module, node.func)
        given = {ast.unparse(item) for item in (*node.args, *(keyword.value for keyword in node.keywords))}
        merges += called is not None and called.endswith('.merge_param') and {f'self.{name}', name} <= given
  return reads == merges == 1


def _thread(plan: ClassPlan, field: str, value: Partial, call: Any) -> None:
  default = plan.source.fields[field].default
  named = plan.source.project.resolve_node(plan.source.module, default) if default is not None else None
  if named is not None and named != getattr(value.function, 'name', getattr(value.function, 'source', None)):
    raise Refused(
      f'{field} makes {named.replace("flax.linen", "nn")} by default, and what another class gives it takes a flag of '
      'the call'
    )
  if call is None or call.owner is not plan.source:
    raise Refused(f'{field} carries a flag of the call, and there is no __call__ to take it')
  late = [item for item in value.kwargs.values() if isinstance(item, Late)]
  late += [item for item in value.args if isinstance(item, Late)]
  arguments = {item.arg for item in (*call.node.args.args, *call.node.args.kwonlyargs)}
  for item in late:
    if not item.names:
      raise Refused(f'{field} carries a value of its user that no argument tells')
    for name in sorted(item.names):
      if name in arguments:
        raise Refused(f'{field} carries the flag {name}, which is an argument of __call__ already')
      plan.threaded[name] = name
