"""Fields that hold modules: their defaults are made by the constructor, lists of them become nnx.List."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.manifest import Branch, SizeArgument, Submodule
from migrator.shapes.values import Opaque
from rewrites.registry import layer_for

from .layer_call import Refused
from .plan import ClassPlan

_LISTS = ('list', 'List', 'tuple', 'Tuple', 'Sequence', 'Iterable')


def default_class(project: Any, field: Any) -> str | None:
  """Returns the Linen class that a field's default makes an instance of: `readout: nn.Module = Readout()`."""
  if not isinstance(field.default, ast.Call) or field.default_factory:
    return None
  name = project.resolve_node(field.owner.module, field.default.func) or ''
  found = project.classes.get(name)
  if found is not None:
    return name if found.is_linen else None
  return name if name.startswith('flax.linen.') and name.rpartition('.')[2][:1].isupper() else None


def default_made(name: str, child: ClassPlan | None, field: Any, asked: dict[str, SizeArgument]) -> str:
  """Returns the constructor's text for a field whose default is the class itself, to be made with these random streams.

  Raises:
    Refused: the default cannot be made by the constructor.
  """
  what = f'the default of {field.name} (line {field.node.lineno})'
  if child is None or not child.native:
    raise Refused(f'{what} is a module that stays Linen')
  if field.default.args or field.default.keywords:
    raise Refused(f'{what} is a module made with arguments')
  arguments = []
  for size in child.size_arguments:
    if size.axis is None:
      raise Refused(f'{what} needs the size {size.name}')
    asked[f'{name}_{size.name}'] = SizeArgument(f'{name}_{size.name}', optional=True)
    arguments.append(f'{size.name}={name}_{size.name}')
  made = f'{name}({", ".join([*arguments, "rngs=rngs"])})'
  return f'{made} if isinstance({name}, type) else {name}'


def is_list(project: Any, field: Any) -> bool:
  """Tells whether a field is annotated as a list of modules."""
  node = field.annotation
  if not (isinstance(node, ast.Subscript) and isinstance(node.value, (ast.Name, ast.Attribute))):
    return False
  if (node.value.id if isinstance(node.value, ast.Name) else node.value.attr) not in _LISTS:
    return False
  names = [
    project.resolve_node(field.owner.module, child)
    for child in ast.walk(node.slice)
    if isinstance(child, (ast.Name, ast.Attribute))
  ]
  return any(
    name == 'flax.linen.Module' or name in project.classes and project.classes[name].is_linen
    for name in names
    if name
  )


def makes_modules(project: Any, field: Any) -> bool:
  """Tells whether the default of a field, or its factory, makes modules: NNX has no sizes and keys for them there."""
  for node in ast.walk(field.default) if field.default is not None else ():
    if isinstance(node, (ast.Call, ast.Name, ast.Attribute)):
      name = project.resolve_node(field.owner.module, node.func if isinstance(node, ast.Call) else node) or ''
      called = isinstance(node, ast.Call) or field.default_factory and node is field.default
      if called and (name in project.classes and project.classes[name].is_linen or layer_for(name) is not None):
        return True
  return False


def rows(plan: ClassPlan, plans: Mapping[str, ClassPlan]) -> Iterator[Branch]:
  """Yields what the manifest says of the modules in fields: each is there under the name of its field, or made elsewhere."""
  for name, field in plan.source.own_fields.items():
    value = plan.analysis.subject.fields.get(name)
    if isinstance(value, Opaque) and value.kind == 'module':
      cls = default_class(plan.source.project, field)
      known = cls if cls is not None and cls in plans and plans[cls].native else None
      yield Branch(((Submodule((name,), None, (name,), known),), ()))
