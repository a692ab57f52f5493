"""The construction program of a class for the manifest."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from migrator.manifest import Branch, ClassMap, Leaf, Loop, Submodule
from migrator.manifest import Member as Row

from . import module_fields
from .bases import built_bases, made_before_bases
from .naming import explicit_name, template
from .plan import ClassPlan, Member


def class_map(plan: ClassPlan, plans: Mapping[str, ClassPlan]) -> ClassMap:
  """Returns the manifest entry of a class."""
  source = plan.source
  return ClassMap(
    name=plan.name,
    file=source.module.relative,
    line=source.node.lineno,
    outcome='native' if plan.native else plan.outcome,
    fields=tuple(source.fields),
    call_fields=tuple(plan.call_fields),
    arguments=tuple(plan.size_arguments),
    call_arguments=tuple(name for name in plan.threaded if name not in {row.name for row in plan.modes}),
    members=program(plan, plans) if plan.native else (),
    faces=() if plan.native else _faces(plan, plans),
    modes=plan.modes,
  )


def _faces(plan: ClassPlan, plans: Mapping[str, ClassPlan]) -> tuple[str, ...]:
  """Returns the classes that are NNX now among those that a class which stays Linen names."""
  found: set[str] = set()
  for source in plan.source.mro:
    for node in ast.walk(source.node):
      if isinstance(node, (ast.Name, ast.Attribute)):
        name = source.project.resolve_node(source.module, node, source.node)
        if name in plans and plans[name].native:
          found.add(name)
  return tuple(sorted(found))


def program(plan: ClassPlan, plans: Mapping[str, ClassPlan]) -> tuple[Row, ...]:
  """Returns the members in Linen's construction order."""
  rows = [row for base in built_bases(plan, plans) if base.native for row in program(base, plans)]
  fields, own = module_fields.rows(plan, plans), _block([(member, _path(member)) for member in plan.members], 0)
  return (*fields, *own, *rows) if made_before_bases(plan) else (*rows, *fields, *own)


def _path(member: Member) -> list[tuple[ast.AST, str]]:
  return [
    (node, branch)
    for node, branch in member.creation.path
    if isinstance(node, (ast.If, ast.IfExp, ast.For, ast.ListComp, ast.DictComp, ast.GeneratorExp))
  ]


def _block(members: list[tuple[Member, list[tuple[ast.AST, str]]]], depth: int) -> list[Row]:
  rows: list[Row] = []
  position = 0
  while position < len(members):
    member, path = members[position]
    if len(path) <= depth:
      rows += _rows(member)
      position += 1
      continue
    node = path[depth][0]
    group = []
    while (
      position < len(members) and len(members[position][1]) > depth and members[position][1][depth][0] is node
    ):
      group.append(members[position])
      position += 1
    if isinstance(node, (ast.If, ast.IfExp)):
      bodies = [
        _block([item for item in group if item[1][depth][1] == branch], depth + 1)
        for branch in ('body', 'orelse')
      ]
      rows.append(Branch(tuple(tuple(body) for body in bodies)))
    else:
      rows.append(Loop(tuple(_block(group, depth + 1))))
  return rows


def _rows(member: Member) -> list[Row]:
  if member.without_weights:
    return []
  if member.alternatives:
    return [Branch(tuple(tuple(_row(item)) for item in (member, *member.alternatives)))]
  return [Branch((tuple(_row(member)), ()))] if member.guard else _row(member)


def _row(member: Member) -> list[Row]:
  creation = member.creation
  nnx = nnx_path(member)
  if creation.kind in ('param', 'variable'):
    name = (
      creation.arguments['name']
      if isinstance(creation.arguments.get('name'), str)
      else template(member.name_node)
    )
    collection = 'params' if creation.kind == 'param' else creation.target
    leaf = Leaf(name or '{}', collection, nnx)
    return [Branch(((leaf,), ()))] if member.lazy else [leaf]
  cls = creation.target
  transparent = member.record is not None and bool(member.record.children)
  if creation.factory and creation.factory.startswith('field:'):
    cls = None
  linen, auto = linen_name(member)
  return [Submodule(linen, auto, nnx, cls, transparent)]


def nnx_path(member: Member) -> tuple[str, ...]:
  """Returns the attribute path of a member; '*' for a position in a list."""
  if member.inside is not None:
    position: tuple[str, ...] = ()
    if member.inside.record is not None and any(child.many for child in member.inside.record.children):
      position = (str(_position(member)),)
    return (*nnx_path(member.inside), *member.slot, *position)
  if member.extended:
    return (member.attribute, '*')
  if member.listed:
    return (member.attribute, '*' if member.key is None else member.key_part)
  if member.container is not None:
    return (member.attribute, *_container_path(member))
  return (member.attribute,)


def _position(member: Member) -> int | str:
  """Returns the place of a layer in the list given to Sequential."""
  assert member.inside is not None
  for argument in (
    *member.inside.creation.node.args,
    *(item.value for item in member.inside.creation.node.keywords),
  ):
    if isinstance(argument, (ast.List, ast.Tuple)):
      for index, item in enumerate(argument.elts):
        if any(child is member.creation.node for child in ast.walk(item)):
          return index
  return '*'


def _container_path(member: Member) -> tuple[str, ...]:
  container = member.container
  if isinstance(container, (ast.List, ast.Tuple)):
    for index, item in enumerate(container.elts):
      if any(child is member.creation.node for child in ast.walk(item)):
        return (str(index),)
  if isinstance(container, ast.Dict):
    for key, item in zip(container.keys, container.values):
      if any(child is member.creation.node for child in ast.walk(item)) and isinstance(key, ast.Constant):
        return (str(key.value),)
  if isinstance(container, ast.DictComp):
    return ('{}',)
  return ('*',)


def linen_name(member: Member) -> tuple[tuple[str, ...] | None, str | None]:
  """Returns (explicit Linen path, None) or (None, prefix of the automatic name)."""
  creation = member.creation
  fixed = explicit_name(creation)
  if fixed is not None:
    # Numbers in a list that grows by condition: another class may stand at the same number.
    return ('{}' if member.extended and fixed.isdigit() else fixed,), None
  if (
    member.name_node is not None
    and not isinstance(member.name_node, ast.Constant)
    and creation.name is not None
  ):
    return (template(member.name_node) or '{}',), None
  if member.from_setup:
    return _setup_name(member), None
  prefix = creation.prefix + creation.target.rsplit('.', 1)[-1].rsplit(':', 1)[-1]
  if creation.factory and creation.factory.startswith('field:'):
    return None, '?'
  return None, prefix


def _setup_name(member: Member) -> tuple[str, ...]:
  if member.inside is not None:
    inner = member.inside.record
    base = _setup_name(member.inside)
    if inner is not None:
      child = next(child for child in inner.children if child.nnx == member.slot[0])
      return (*base, child.linen_name.format(_position(member)) if child.many else child.linen_name)
    return (*base, member.slot[0])
  if member.container is not None or any(
    isinstance(node, (ast.For, ast.ListComp)) for node, _ in member.creation.path
  ):
    path = _container_path(member) if member.container is not None else ('*',)
    return (f'{member.attribute}_{path[0] if path[0] not in ("*", "{}") else "{}"}',)
  return (member.attribute,)


__all__ = ['Any', 'class_map', 'linen_name', 'nnx_path', 'program']
