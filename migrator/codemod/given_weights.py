"""Layers applied with weights that belong to other modules: tied embeddings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.shapes.values import Instance
from rewrites.given_weights import GIVEN_WEIGHTS, GivenWeights
from rewrites.registry import layer_for

from .conditions import leaving_branch
from .layer_call import Refused
from .members import linen_name, nnx_path
from .plan import ClassPlan, Member
from .text import Edits


def applies(member: Member) -> list[Any]:
  """Returns the uses of a layer with weights that are not its own."""
  return [use for use in member.creation.uses if use.method == 'apply']


def plan_guards(plan: ClassPlan) -> None:
  """Finds the layers that Linen only makes weights for where they are called with their own.

  Raises:
    Refused: whether a layer has weights of its own hangs on more than one condition.
  """
  for member in plan.members:
    if member.record is None or not (given := applies(member)):
      continue
    _rules(member)
    if not member.from_setup:
      raise Refused(f'a layer made in the call is applied with given weights (line {given[0].node.lineno})')
    calls = [use for use in member.creation.uses if use.method == '__call__']
    if not calls:
      member.without_weights = True
      continue
    guards = {id(guard[0]) if guard else 0: guard for use in calls for guard in [_guard(plan, use, given)]}
    if len(guards) > 1:
      raise Refused(f'{member.attribute} has weights of its own on several conditions (line {member.creation.line})')
    member.guard = next(iter(guards.values()))


def _guard(plan: ClassPlan, call: Any, given: list[Any]) -> tuple[ast.expr, str, Any] | None:
  """Returns the condition that chooses between a call and the use of given weights, its branch, and its method."""
  method = next((item for item in plan.source.own_methods.values() if _within(call.node, item.node)), None)
  if method is None:
    return None
  for node in reversed([item for item in ast.walk(method.node) if isinstance(item, (ast.If, ast.IfExp))]):
    for branch, other in (('body', 'orelse'), ('orelse', 'body')):
      inside, elsewhere = _branch(method.node, node, branch), _branch(method.node, node, other)
      if _in_any(call.node, inside) and any(_in_any(use.node, elsewhere) for use in given):
        return node.test, branch, method.node
  return None


def _branch(method: ast.FunctionDef, condition: Any, branch: str) -> list[ast.AST]:
  """Returns what only runs if the condition chooses the branch: what follows belongs to it if the other one leaves."""
  part = getattr(condition, branch)
  if not isinstance(part, list):
    return [part]
  if leaving_branch(condition) not in (None, branch):
    for block in _blocks(method):
      if condition in block:
        return [*part, *block[block.index(condition) + 1 :]]
  return list(part)


def _blocks(method: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
  for node in ast.walk(method):
    for field in ('body', 'orelse', 'finalbody'):
      block = getattr(node, field, None)
      if isinstance(block, list):
        yield block


def _in_any(node: ast.AST, parts: list[ast.AST]) -> bool:
  return any(_within(node, part) for part in parts)


def _within(node: ast.AST, outer: ast.AST) -> bool:
  return any(child is node for child in ast.walk(outer))


def _rules(member: Member) -> GivenWeights:
  rules = GIVEN_WEIGHTS.get(member.creation.target)
  if rules is None:
    name = member.creation.target.replace('flax.linen', 'nn')
    raise Refused(f'{name}.apply has no counterpart in NNX (line {applies(member)[0].node.lineno})')
  if member.creation.partials or any(isinstance(item, ast.Starred) for item in member.creation.node.args):
    raise Refused(f'the layer applied in line {applies(member)[0].node.lineno} is made by a partial')
  return rules


def rewrite_applies(plan: ClassPlan, method: ast.FunctionDef, edits: Edits, names: Any) -> set[int]:
  """Writes `self.head.apply({'params': {'kernel': k}}, x)` as a function of `x` and `k`; returns the nodes dealt with.

  Raises:
    Refused: the weights or the arguments of the layer are given in another way.
  """
  settled: set[int] = set()
  uses = [
    (member, use)
    for member in plan.members
    if member.record is not None
    for use in applies(member)
    if _within(use.node, method)
  ]
  for member, use in uses:
    rules, node = _rules(member), use.node
    weights = _weights(node)
    if len(node.args) != 2 or node.keywords or weights is None or set(weights) - set(rules.weights):
      raise Refused(f'{ast.unparse(node.func)} is given more than the weights and the input (line {node.lineno})')
    arguments = [edits.node(node.args[1])]
    for name in rules.weights:
      flag = rules.optional.get(name)
      wanted = flag is None or _flag(member, flag, node)
      if wanted != (name in weights):
        raise Refused(f'{ast.unparse(node.func)} is given other weights than the layer has (line {node.lineno})')
      if wanted:
        arguments.append(edits.node(weights[name]) if name == 'kernel' else f'{name}={edits.node(weights[name])}')
    for keyword in member.creation.node.keywords:
      if keyword.arg in rules.kept:
        arguments.append(f'{keyword.arg}={_at_call(plan, keyword.value, member)}')
      elif keyword.arg not in rules.ignored:
        raise Refused(f'{ast.unparse(node.func)}: the layer has {keyword.arg}={ast.unparse(keyword.value)}')
    names.helpers[rules.helper.name] = rules.helper
    edits.replace(node, f'{rules.helper.name}({", ".join(arguments)})')
    settled |= {id(node.func)}
  return settled


def _weights(node: ast.Call) -> dict[str, ast.expr] | None:
  """Returns the weights in `{'params': {...}}` by name."""
  tree = node.args[0] if node.args else None
  if not isinstance(tree, ast.Dict) or [getattr(key, 'value', None) for key in tree.keys] != ['params']:
    return None
  inner = tree.values[0]
  if not isinstance(inner, ast.Dict) or not all(isinstance(key, ast.Constant) for key in inner.keys):
    return None
  return {str(key.value): value for key, value in zip(inner.keys, inner.values)}  # type: ignore[union-attr]


def _flag(member: Member, name: str, node: ast.Call) -> bool:
  value = member.creation.arguments.get(name, True)
  if not isinstance(value, bool):
    raise Refused(f'{ast.unparse(node.func)}: {name} is not known (line {node.lineno})')
  return value


def _at_call(plan: ClassPlan, node: ast.expr, member: Member) -> str:
  """Returns an argument of the constructor as the call can read it: a field, or something of the module."""
  from .names_in import function_locals, read

  local = function_locals(member.creation.inside) - {'self'}
  if read(node) & local:
    raise Refused(f'{ast.unparse(node)} is a variable of {member.creation.inside.name} (line {node.lineno})')
  return ast.unparse(node)


# -- weights read by their path ----------------------------------------------------------------------


def rewrite_trees(plan: ClassPlan, plans: Mapping[str, ClassPlan], method: ast.FunctionDef, edits: Edits) -> set[int]:
  """Writes `self.encoder.variables['params']['embed']['embedding']` as `self.encoder.embed.embedding[...]`.

  Returns the nodes dealt with.

  Raises:
    Refused: the path leads to something that has no place of its own in NNX.
  """
  settled: set[int] = set()
  inner: set[int] = set()
  for node in ast.walk(method):
    if not isinstance(node, ast.Subscript) or id(node) in inner:
      continue
    path, base = _path(node)
    if not (isinstance(base, ast.Attribute) and base.attr == 'variables') or _is_self(base.value):
      continue
    inner |= {id(child) for child in ast.walk(node)}
    value = plan.analysis.record.values.get(id(base.value), [None])[-1]
    if not isinstance(value, Instance) or len(path) < 2 or path[0] != 'params':
      continue
    place = _place(value.source, value.layer, path[1:], plans)
    if place is None:
      raise Refused(f'{ast.unparse(node)} reads a weight by its path (line {node.lineno})')
    edits.replace(node, f'{edits.node(base.value)}.{".".join(place)}[...]')
    settled.add(id(base))
  return settled


def _is_self(node: ast.expr) -> bool:
  return isinstance(node, ast.Name) and node.id == 'self'


def _path(node: ast.expr) -> tuple[list[str], ast.expr]:
  """Splits `x.variables['params']['a']` into its constant keys and `x.variables`."""
  keys: list[str] = []
  while isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
    keys.append(str(node.slice.value))
    node = node.value
  return keys[::-1], node


def _place(source: Any, layer: str | None, path: list[str], plans: Mapping[str, ClassPlan]) -> list[str] | None:
  """Returns the attribute path of a weight below a module."""
  if source is None:
    record = layer_for(layer or '')
    # Leaves without a row have one array under one name on both sides.
    moved = {part for row in record.parameters for part in str(row.linen).split('/')} if record is not None else set()
    return path if record is not None and len(path) == 1 and path[0] not in moved and not record.children else None
  child = plans.get(source.name)
  if child is None or not child.native:
    return None
  for member in _members(child, plans):
    if member.creation.kind == 'param' and [member.creation.arguments.get('name')] == path:
      return None if member.listed or member.container is not None else [member.attribute]
    explicit = linen_name(member)[0] if member.creation.kind in ('layer', 'class') else None
    if explicit is None or member.listed or list(explicit) != path[: len(explicit)]:
      continue
    value = member.creation.value
    rest = _place(getattr(value, 'source', None), getattr(value, 'layer', None), path[len(explicit) :], plans)
    return None if rest is None else [*nnx_path(member), *rest]
  return None


def _members(plan: ClassPlan, plans: Mapping[str, ClassPlan]) -> list[Member]:
  inherited = [member for base in plan.source.bases if base in plans for member in _members(plans[base], plans)]
  return [*inherited, *plan.members]
