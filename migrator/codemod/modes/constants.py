"""Layers that a class builds with a mode of their own: it moves to the calls, where `train()` and `eval()` do not reach it."""

from __future__ import annotations

import ast

from .kinds import is_own
from .sites import Found, Site
from .texts import Written, without
from .uses import fixed_modes, layer_argument

_THROUGH = (ast.List, ast.Tuple, ast.IfExp, ast.ListComp, ast.Assign, ast.AnnAssign)


def move_constants(
  owner: Written, methods: list[Found], inherited: list[Found], gone: set[int], spelled: dict[str, str]
) -> tuple[dict[int, list[str]], list[str]]:
  """Moves them in one class.

  methods: of the class; inherited: those of its bases and subclasses.
  gone: ids of expressions that go; spelled: attributes of fields that have another name.

  Returns:
    The arguments to add, by the id of the call, and sentences about layers that follow the mode all the same.
  """
  init = next((found for found in methods if found.name == '__init__'), None)
  more: dict[int, list[str]] = {}
  notes: list[str] = []
  if init is None:
    return more, notes
  for call, keyword in fixed_modes(init):
    if id(keyword.value) in gone:
      continue
    text = _text(init, keyword.value, spelled)
    attribute = _attribute(init, call)
    sites = [] if attribute is None else _sites_of(owner, attribute, [*methods, *inherited])
    if text is None or attribute is None or not sites or any(len(site.layers) + len(site.targets) > 1 for site in sites):
      notes.append(
        f'{ast.unparse(call.func)} is built with {ast.unparse(keyword)}, which model.train() and model.eval() change'
      )
      continue
    without(owner.text.edits, owner.text.source.end(call.func), owner.text.source.end(call), [keyword])
    for site in sites:
      if layer_argument(site.node, site.layers[0]) is None:
        more.setdefault(id(site.node), []).append(f'{keyword.arg}={text}')
  return more, notes


def _text(init: Found, value: ast.expr, spelled: dict[str, str]) -> str | None:
  """Returns the value as a method spells it; None where only the constructor knows it."""
  fields = init.owner.plan.source.fields
  names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} - {init.scope.receiver}
  stored = {node.id for node in ast.walk(init.node) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
  if names & stored or any(isinstance(node, (ast.Call, ast.Lambda)) for node in ast.walk(value)):
    return None
  parameters = {item.arg for item in (*init.node.args.args, *init.node.args.kwonlyargs)}
  if (names & parameters) - set(fields):
    return None
  copy = ast.parse(ast.unparse(value), mode='eval').body
  return ast.unparse(_Fields({name: spelled.get(name, name) for name in names & set(fields)}, spelled, init.scope.receiver).visit(copy))


class _Fields(ast.NodeTransformer):
  """Spells fields as attributes."""

  def __init__(self, names: dict[str, str], attributes: dict[str, str], receiver: str) -> None:
    self.names = names
    self.attributes = attributes
    self.receiver = receiver

  def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
    if is_own(node, self.receiver):
      node.attr = self.attributes.get(node.attr, node.attr)
      return node
    self.generic_visit(node)
    return node

  def visit_Name(self, node: ast.Name) -> ast.expr:
    if node.id in self.names:
      return ast.Attribute(ast.Name(self.receiver, ast.Load()), self.names[node.id], ast.Load())
    return node


def _attribute(init: Found, call: ast.Call) -> str | None:
  """Returns the attribute that holds what a call in the constructor builds."""
  node: ast.AST = call
  while (parent := init.parents.get(node)) is not None:
    if isinstance(parent, (ast.Assign, ast.AnnAssign)):
      target = parent.targets[0] if isinstance(parent, ast.Assign) else parent.target
      return target.attr if is_own(target, init.scope.receiver) else None  # type: ignore[attr-defined]
    if isinstance(parent, ast.Call) and parent.func is not node:
      function = parent.func
      if isinstance(function, ast.Attribute) and function.attr == 'append' and is_own(function.value, init.scope.receiver):
        return function.value.attr  # type: ignore[attr-defined]
      if ast.unparse(function) not in ('nnx.List', 'nnx.Dict'):
        return None
    elif not isinstance(parent, _THROUGH):
      return None
    node = parent
  return None


def _sites_of(owner: Written, attribute: str, methods: list[Found]) -> list[Site]:
  mine = {id(member) for member in owner.plan.members if member.attribute == attribute}
  return [
    site
    for found in methods
    for site in found.sites
    if any(id(kind.member) in mine for kind in site.layers)
  ]
