"""Fields that stay, with names that `train()` and `eval()` of a module set or hide: their attributes are called otherwise."""

from __future__ import annotations

import ast

from .decide import Decision
from .flags import ATTRIBUTES, RUNNING, Flag
from .kinds import Modules, is_own
from .sites import Found
from .texts import Written

_RESERVED = (*ATTRIBUTES, 'train', 'eval')


def rename_fields(
  modules: Modules, families: dict[str, str], methods: list[Found], decision: Decision
) -> dict[str, dict[str, str]]:
  """Renames the attributes in all classes; returns the new names by class."""
  names: dict[str, dict[str, str]] = {}
  for name, owner in modules.classes.items():
    fields = [field for field in _RESERVED if field in owner.plan.source.fields and field not in owner.plan.call_fields]
    kept = [field for field in fields if not decision.goes(Flag(families[name], '__init__', field))]
    kept += [item for item in _stored(owner) if item not in kept and item not in owner.plan.source.fields]
    names[name] = {field: f'{field}_' for field in kept}
    own = [field for field in kept if field in owner.plan.source.own_fields]
    owner.plan.assumptions += [
      f'the field {field} is the attribute {field}_: train() and eval() of a module mean another {field}' for field in own
    ]
  for found in methods:
    for node in ast.walk(found.node):
      if isinstance(node, ast.Attribute) and node.attr in _RESERVED:
        new = _new_name(modules, names, found, node)
        if new is not None:
          edits = found.owner.text.edits
          end = edits.source.end(node)
          edits.replace_range(end - len(node.attr), end, new)
  return names


def _stored(owner: Written) -> list[str]:
  """Returns attributes with a reserved name that the author sets, other than modules."""
  modules = {member.attribute for member in owner.plan.members}
  # The writer itself sets this one where a class asks whether its statistics may change.
  asks = any(creation.kind == 'mutable' for creation in owner.plan.analysis.record.order)
  found = {
    node.attr
    for method in owner.methods.values()
    if method.args.args
    for node in ast.walk(method)
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node, method.args.args[0].arg)
  }
  return [name for name in _RESERVED if name in found - modules and not (asks and name == RUNNING)]


def _new_name(modules: Modules, names: dict[str, dict[str, str]], found: Found, node: ast.Attribute) -> str | None:
  if is_own(node, found.scope.receiver):
    owners = modules.related(found.owner.name)
  else:
    owners = {kind.name for kind in found.scope.kinds(node.value) if kind.name}
  return next((names[owner][node.attr] for owner in sorted(owners) if node.attr in names[owner]), None)
