"""Members whose class `nn.vmap` or `nn.scan` lifts: stacked in the constructor, mapped at the call."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from .layer_call import Refused
from .plan import ClassPlan, Member


def lifted_member(creation: Any, child: ClassPlan, text: str, write: Callable[[ast.expr], str]) -> str:
  """Returns the constructor's text: one instance, or one per step with its own keys, stacked along axis 0.

  text: one instance, made with `rngs`; write: writes an expression in the constructor.
  """
  lift = creation.lift
  if child.threaded or child.call_fields:
    raise Refused(f'nn.{lift.kind} of a class that takes flags at the call (line {creation.line})')
  if not lift.stacked:
    return text
  name = 'axis_size' if lift.kind == 'vmap' else 'length'
  size = next(write(item.value) for item in lift.node.keywords if item.arg == name)
  return f'nnx.vmap(lambda rngs: {text})(rngs.fork(split={size}))'


def lifted_call(
  node: ast.Call, members: list[Member], text: Callable[[ast.AST], str], taken: set[str]
) -> str:
  """Returns the call of a lifted member.

  text: writes an expression of the method; taken: names that mean something there.
  """
  if len(members) != 1 or node.keywords or any(isinstance(item, ast.Starred) for item in node.args):
    raise Refused(f'a lifted module is called with names or with * (line {node.lineno})')
  member = members[0]
  lift = member.creation.lift
  if member.on_call:
    raise Refused(f'a lifted module takes flags at the call (line {node.lineno})')
  name = _free('module', taken)
  given, inner, axes = [text(node.func)], [], ['0' if lift.stacked else 'None']
  parameters = [name]
  for position, item in enumerate(node.args):
    carried = lift.kind == 'scan' and position == 0
    axis = None if carried else lift.axis(position - (lift.kind == 'scan'))
    if (axis is None or _is_none(item)) and not carried:
      inner.append(text(item))  # the same for all: the function sees it from outside
      continue
    parameter = _free('carry' if carried else 'x', taken | set(parameters))
    parameters.append(parameter)
    inner.append(parameter)
    given.append(text(item))
    axes.append('nnx.Carry' if carried else str(axis))
  function = f'lambda {", ".join(parameters)}: {name}({", ".join(inner)})'
  settings = []
  if lift.kind == 'scan':
    settings = [f'in_axes=({", ".join(axes)})', f'out_axes=(nnx.Carry, {lift.out_axes})']
  else:
    settings += [f'in_axes=({", ".join(axes)})'] if set(axes) != {'0'} else []
    settings += [f'out_axes={lift.out_axes}'] if lift.out_axes else []
  return f'nnx.{lift.kind}({", ".join([function, *settings])})({", ".join(given)})'


def _is_none(node: ast.expr) -> bool:
  return isinstance(node, ast.Constant) and node.value is None


def _free(wanted: str, taken: set[str]) -> str:
  number, name = 2, wanted
  while name in taken:
    name, number = f'{wanted}{number}', number + 1
  return name


def lifting_statements(method: ast.FunctionDef, members: list[Member]) -> dict[int, ast.stmt]:
  """Returns the statements that only name a lifted class: `VmapCritic = nn.vmap(Critic, ...)`."""
  nodes = {id(member.creation.lift.node) for member in members if member.creation.lift is not None}
  return {
    id(node): node for node in ast.walk(method) if isinstance(node, ast.Assign) and id(node.value) in nodes
  }
