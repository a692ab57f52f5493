"""What a class gets from its bases: which of them its constructor calls, and in what order Linen makes their members."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any

from .layer_call import Refused
from .plan import ClassPlan


def built_bases(plan: ClassPlan, plans: Mapping[str, ClassPlan]) -> list[ClassPlan]:
  """Returns the bases whose constructor the class calls: none if it overrides all that makes something in them.

  Raises:
    Refused: some of what the bases make is overridden, and some is needed.
  """
  bases = [plans[base] for base in plan.source.bases if base in plans]
  made = [(name, base) for base in plan.source.mro[1:] if base.name in plans for name in _making(plans[base.name])]
  dead = [(name, base) for name, base in made if not _runs(plan.source, name, base)]
  if not dead:
    return bases
  if len(dead) < len(made):
    name, base = dead[0]
    raise Refused(f'it overrides {name}, in which its base {base.node.name} makes something, and needs other parts of it')
  return []


def _making(plan: ClassPlan) -> set[str]:
  """Returns the methods of a class in which it makes modules, variables or attributes."""
  made = {id(creation.inside) for creation in plan.analysis.record.order}
  return {name for name, method in plan.source.own_methods.items() if name == 'setup' or id(method.node) in made}


def _runs(source: Any, name: str, base: Any) -> bool:
  """Tells whether a method of a base runs when the class is used: it is not overridden, or reached through super()."""
  for owner in source.mro:
    method = owner.own_methods.get(name)
    if owner is base:
      return True
    if method is not None and super_call(method.node, name) is None:
      return False
  return False


def super_call(method: ast.FunctionDef, name: str) -> ast.Call | None:
  """Returns the call `super().<name>(...)` in a method."""
  return next((node for node in ast.walk(method) if isinstance(node, ast.Call) and is_super_call(node, (name,))), None)


def is_super_call(node: ast.expr, names: Collection[str]) -> bool:
  """Tells whether an expression is `super().<name>(...)` for one of the names."""
  return (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Attribute)
    and node.func.attr in names
    and isinstance(node.func.value, ast.Call)
    and isinstance(node.func.value.func, ast.Name)
    and node.func.value.func.id == 'super'
  )


def made_before_bases(plan: ClassPlan) -> bool:
  """Tells whether Linen makes the members of the class before the inherited ones: its numbers go by that order.

  Raises:
    Refused: they are made in turns, and some of them have numbers.
  """
  own = {id(method.node) for method in plan.source.own_methods.values()}
  inherited = {id(method.node) for base in plan.source.mro[1:] for method in base.own_methods.values()} - own
  # Another method may come to the same place again: the first run through it counts.
  first = {id(creation.node): creation for creation in reversed(plan.analysis.record.order)}
  numbered = [
    creation
    for creation in plan.analysis.record.order
    if first[id(creation.node)] is creation
    and creation.kind in ('layer', 'class')
    and creation.name_node is None
    and getattr(creation.inside, 'name', '') != 'setup'
    and id(creation.inside) in own | inherited
  ]
  both = {item.target for item in numbered if id(item.inside) in own}
  both &= {item.target for item in numbered if id(item.inside) in inherited}
  turns = [id(item.inside) in own for item in numbered if item.target in both]
  if sorted(turns) == turns:
    return False
  if sorted(turns, reverse=True) == turns:
    return True
  raise Refused('it makes layers before and after those of its base, and Linen numbers them in turns')
