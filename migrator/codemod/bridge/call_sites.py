"""Decides what becomes of each mention of a native class in code that is not NNX."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.shapes.values import Alternatives, ClassRef, External, Instance, Opaque, Partial
from rewrites.registry import layer_for

from ..kept import frozen_at
from ..plan import ClassPlan
from .references import ModuleReferences, Reference

Everything = Mapping[str, ModuleReferences]


@dataclasses.dataclass(frozen=True)
class Problem:
  """A native class that has to stay Linen, and why; chosen: the user says so."""

  name: str
  reason: str
  chosen: bool = False


def wrapped(references: ModuleReferences, everything: Everything) -> Iterator[Reference]:
  """Yields the mentions that have to be put behind the helper."""
  for reference in references.all():
    if not _is_plain(references, reference, everything):
      yield reference


def _is_plain(references: ModuleReferences, reference: Reference, everything: Everything) -> bool:
  """Tells whether a mention means the NNX class itself."""
  if reference.member is not None:
    method = reference.plan.source.methods.get(reference.member)
    return method is None or method.is_static or method.is_classmethod
  first = reference.parents[0]
  if isinstance(first, ast.ClassDef):
    return True
  if isinstance(first, ast.Attribute):
    return True
  return (
    _is_name_for(references, reference)
    or given_to(references, reference) is not None
    or _for_native(references, reference, everything)
  )


def _is_name_for(references: ModuleReferences, reference: Reference) -> bool:
  """`Model = Net` and `Model = partial(Net, ...)` in a module: what uses the name is looked at instead."""
  node, (first, *rest) = reference.node, reference.parents
  if references.is_partial(first) and first.args and first.args[0] is node:  # type: ignore[attr-defined]
    node, (first, *rest) = first, rest  # type: ignore[assignment]
  if not (isinstance(first, ast.Assign) and first.value is node and rest and isinstance(rest[0], ast.Module)):
    return False
  target = first.targets[0]
  if len(first.targets) != 1 or not isinstance(target, ast.Name):
    return False
  return references.meaning_of_name(target.id) is not None


def given_to(references: ModuleReferences, reference: Reference) -> ClassPlan | None:
  """Returns the native class in whose constructor call the mention is an argument."""
  child: ast.AST = reference.node
  first = reference.parents[0]
  if isinstance(first, ast.Call) and first.func is child:
    return None  # an instance, which the Linen face of the other class calls as it is
  for parent in reference.parents:
    if isinstance(parent, ast.Call) and child is not parent.func:
      owner = references.made(parent)
      if owner is not None and not (references.is_partial(parent) and parent.args[0] is child):
        return owner
      if not references.is_partial(parent):
        return None
    if isinstance(parent, (ast.stmt, ast.Lambda)):
      return None
    child = parent
  return None


def _for_native(references: ModuleReferences, reference: Reference, everything: Everything) -> bool:
  """A table of classes in a module that native classes read holds the NNX classes."""
  return any(
    _read_by(everything, f'{references.module.name}:{name}', True) for name in module_table(reference)
  )


def _read_by(everything: Everything, name: str, native: bool) -> bool:
  return any(references.reads(name, native) for references in everything.values())


def module_table(reference: Reference) -> list[str]:
  """Returns the module-level names whose value the mention is part of."""
  statement, *above = [node for node in reference.parents if isinstance(node, (ast.stmt, ast.Module))]
  if isinstance(statement, (ast.Assign, ast.AnnAssign)) and above and isinstance(above[0], ast.Module):
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
  return []


def problems(everything: Everything) -> Iterator[Problem]:
  """Yields the native classes that code outside of them uses in a way that cannot be bridged."""
  for references in everything.values():
    yield from _looked_up(references)
    for reference in references.all():
      yield from _in_frozen(references, reference, everything)
      yield from _handed_modules(references, reference)
      yield from _two_readers(references, reference, everything)
      yield from _in_shared_function(references, reference, everything)


def _in_frozen(references: ModuleReferences, reference: Reference, everything: Everything) -> Iterator[Problem]:
  """Code that must not change, by a comment, cannot be given the Linen face."""
  line = frozen_at(references.module, reference.node)
  if line is not None and not _is_plain(references, reference, everything):
    place = f'{references.module.relative}:{reference.node.lineno}'
    comment = '' if line == reference.node.lineno else f' in line {line}'
    yield Problem(
      reference.plan.name, f'{place}, which the comment `linen2nnx: skip`{comment} keeps as it is, uses it', True
    )


def _handed_modules(references: ModuleReferences, reference: Reference) -> Iterator[Problem]:
  """A module made by Linen code cannot be a part of an NNX module."""
  node, (first, *_rest) = reference.node, reference.parents
  if reference.member is not None or not isinstance(first, ast.Call):
    return
  is_partial = references.is_partial(first)
  if not (first.func is node or is_partial and first.args and first.args[0] is node):
    return
  plan = reference.plan
  fields = [name for name, field in plan.source.fields.items() if not field.kw_only]
  given = [
    (fields[i] if i < len(fields) else '', item)
    for i, item in enumerate(first.args[1 if is_partial else 0 :])
  ]
  given += [(item.arg or '', item.value) for item in first.keywords if item.arg not in ('name', 'parent')]
  for name, value in given:
    if not _is_called_as_it_is(references, plan, name) and _is_module(references, plan, name, value):
      place = f'{references.module.relative}:{value.lineno}'
      yield Problem(plan.name, f'{place} makes it with the module {ast.unparse(value)[:60]}, and stays Linen')


def _is_module(references: ModuleReferences, plan: ClassPlan, field: str, value: ast.expr) -> bool:
  if (
    isinstance(value, (ast.Name, ast.Attribute))
    and references.meaning(value) is not None
    or isinstance(value, ast.Constant)
  ):
    return False
  if any(references.makes_module(node) for node in ast.walk(value)):
    return True
  return field in plan.source.fields and holds_module(plan.analysis.subject.fields.get(field))


def _is_called_as_it_is(references: ModuleReferences, plan: ClassPlan, field: str) -> bool:
  """Tells whether a field holds a module that the class only calls: the face calls the Linen module it is given."""
  value = plan.analysis.subject.fields.get(field)
  if isinstance(value, Instance) and value.source is not None and value.creation is None:
    child = references.plans.get(value.source.name)
    return child is None or not (child.call_fields or child.threaded)
  return isinstance(value, Opaque) and value.kind == 'module'


def holds_module(value: Any) -> bool:
  """Tells whether an abstract value is a module or makes modules."""
  if isinstance(value, External):
    return layer_for(value.name) is not None
  if isinstance(value, Partial):
    return holds_module(value.function)
  if isinstance(value, Alternatives):
    return any(map(holds_module, value.options))
  if isinstance(value, (list, tuple)):
    return any(map(holds_module, value))
  if isinstance(value, dict):
    return any(map(holds_module, value.values()))
  if isinstance(value, Opaque):
    return value.kind == 'module'
  return isinstance(value, Instance) or isinstance(value, ClassRef) and value.source.is_linen


def _two_readers(
  references: ModuleReferences, reference: Reference, everything: Everything
) -> Iterator[Problem]:
  if _is_name_for(references, reference):
    return
  for name in module_table(reference):
    whole = f'{references.module.name}:{name}'
    if _read_by(everything, whole, True) and _read_by(everything, whole, False):
      place = f'{references.module.relative}:{reference.node.lineno}'
      yield Problem(reference.plan.name, f'it is in {name} ({place}), which NNX classes and other code read')


def _in_shared_function(
  references: ModuleReferences, reference: Reference, everything: Everything
) -> Iterator[Problem]:
  """A function that NNX classes call cannot hand them the Linen face."""
  outer = [node for node in reference.parents if isinstance(node, ast.stmt)][-1]
  if not isinstance(outer, ast.FunctionDef) or _is_plain(references, reference, everything):
    return
  if _read_by(everything, f'{references.module.name}:{outer.name}', True):
    place = f'{references.module.relative}:{reference.node.lineno}'
    yield Problem(
      reference.plan.name, f'it is used in the function {outer.name} ({place}), which NNX classes call'
    )


def _looked_up(references: ModuleReferences) -> Iterator[Problem]:
  """`getattr(models, name)`: any class of the module may be meant."""
  for node in references.calls():
    if (
      not (isinstance(node.func, ast.Name) and node.func.id == 'getattr' and len(node.args) > 1)
      or node in references.native
    ):
      continue
    if isinstance(node.args[1], ast.Constant):
      continue
    name = references.resolved(node.args[0])
    module = references.project.modules.get(name) if name is not None and ':' not in name else None
    if module is None:
      continue
    place = f'{references.module.relative}:{node.lineno}'
    for plan in references.reachable(module):
      yield Problem(plan.name, f'{place} looks it up by a computed name in {name}')
