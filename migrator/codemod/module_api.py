"""Uses of Linen's module interface on modules: what is rewritten, and what keeps a class Linen."""

from __future__ import annotations

import ast
from typing import Any

from migrator.shapes.joins import elements
from migrator.shapes.values import Alternatives, Instance, Repeated

from .layer_call import Refused
from .plan import ClassPlan, Member
from .text import Edits

# Attributes every Linen module has and no NNX module has.
_LINEN_ONLY = frozenset(
  {
    'variables',
    'scope',
    'parent',
    'path',
    'apply',
    'init',
    'bind',
    'unbind',
    'clone',
    'copy',
    'get_variable',
    'put_variable',
    'has_rng',
    'init_with_output',
    'lazy_init',
    'tabulate',
    'perturb',
    'get_parameter',
  }
)
# Methods of layers, besides the call, that NNX has under the same name with the same arguments; `apply` is written
# as a function of the weights it is given.
_LAYER_METHODS = frozenset({'__call__', 'attend', 'apply'})


def rewrite_variables(plan: ClassPlan, method: ast.FunctionDef, edits: Edits) -> set[int]:
  """Rewrites `self.variables['cache']['cached_key']` for variables of the class; returns the nodes dealt with.

  Raises:
    Refused: `self.variables` is read in another way.
  """
  settled: set[int] = set()
  for node in ast.walk(method):
    if not (
      isinstance(node, ast.Subscript)
      and isinstance(node.value, ast.Subscript)
      and _is_variables(node.value.value)
    ):
      continue
    collection, name = node.value.slice, node.slice
    member = _member(plan, collection, name)
    if member is None:
      raise Refused(f'{ast.unparse(node)} reads a variable by its path (line {node.lineno})')
    edits.replace(node, f'self.{member.attribute}[...]')
    settled.add(id(node.value.value))
  return settled


def _is_variables(node: ast.expr) -> bool:
  return (
    isinstance(node, ast.Attribute)
    and node.attr == 'variables'
    and isinstance(node.value, ast.Name)
    and node.value.id == 'self'
  )


def _member(plan: ClassPlan, collection: ast.expr, name: ast.expr) -> Member | None:
  if not isinstance(collection, ast.Constant) or not isinstance(name, ast.Constant):
    return None
  return next(
    (
      member
      for member in plan.members
      if member.creation.kind in ('param', 'variable')
      and member.creation.target == collection.value
      and member.creation.arguments.get('name') == name.value
      and not member.listed
      and member.key is None
    ),
    None,
  )


def refuse_linen_only(
  plan: ClassPlan, method: ast.FunctionDef, values: dict[int, list[Any]], settled: set[int]
) -> None:
  """Raises Refused if the method uses an attribute of modules that only Linen has."""
  for node in ast.walk(method):
    if not isinstance(node, ast.Attribute) or id(node) in settled or not _is_module(node.value, values):
      continue
    if node.attr in _LINEN_ONLY and not _own(node, values, plan):
      raise Refused(f'{ast.unparse(node)} has no counterpart in NNX (line {node.lineno})')


def refuse_layer_methods(member: Member) -> None:
  """Raises Refused if a layer is used through a method that NNX does not have in that form."""
  for use in member.creation.uses:
    if member.record is not None and use.method not in _LAYER_METHODS:
      name = member.record.linen[0].replace('flax.linen', 'nn')
      raise Refused(f'{name}.{use.method} has no counterpart in NNX (line {use.node.lineno})')


def _own(node: ast.Attribute, values: dict[int, list[Any]], plan: ClassPlan) -> bool:
  """Tells whether the class of the module defines the attribute itself."""
  return all(
    instance.source is not None
    and (node.attr in instance.source.methods or node.attr in instance.source.fields)
    for instance in _instances(values.get(id(node.value), [None])[-1])
  )


def _is_module(node: ast.expr, values: dict[int, list[Any]]) -> bool:
  return bool(_instances(values.get(id(node), [None])[-1]))


def _instances(value: Any) -> list[Instance]:
  if isinstance(value, Instance):
    return [value]
  if isinstance(value, Alternatives):
    return [found for option in value.options for found in _instances(option)]
  if isinstance(value, Repeated):
    return [found for item in elements(value) for found in _instances(item)]
  return []
