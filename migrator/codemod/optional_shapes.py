"""Sizes of arrays that a call may leave out: the constructor is told the shape or None."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from migrator.manifest import SizeArgument
from migrator.shapes.values import Array

from .conditions import negated
from .fixed import asks_none
from .names_in import targets
from .plan import ClassPlan, Member
from .shape_text import shape_text
from .sizes import InputAxis, NotStatic, SizeWriter, placeholder_part
from .static import StaticWriter

Tools = Callable[[ast.FunctionDef], tuple[StaticWriter, SizeWriter]]


def condition_text(
  test: ast.expr, holds: bool, method: ast.FunctionDef, plan: ClassPlan, writer: StaticWriter, sizes: SizeWriter
) -> str:
  """Returns a condition of a method, or its opposite, as the constructor can ask it.

  Whether an optional argument of the call is given is asked of its shape.

  Raises:
    NotStatic: the condition is only known at the call.
  """
  asked = asks_none(test)
  if asked is not None:
    _ask(method, asked[0], plan, sizes)
  before = set(writer.needed)
  text = writer.text(test)
  if set(writer.needed) - before:
    raise NotStatic(f'the condition of line {test.lineno} is computed in the call')
  return text if holds else negated(test, text)


def optional_shape(
  member: Member,
  size: SizeArgument,
  names: list[str],
  plan: ClassPlan,
  tools: Tools,
  size_text: Callable[[Any], str],
) -> str | None:
  """Returns the shape, or None where the caller gives None; no text if the caller always gives the array.

  Raises:
    NotStatic: whether it is given is only known at the call.
  """
  use = next((use for use in member.creation.uses if use.method == size.method), None)
  node = _argument(use.node, size.argument, names) if use is not None else None
  value = {**dict(zip(names, use.args)), **use.kwargs}.get(size.argument) if use is not None else None
  if node is None:
    return None
  method = use.inside  # type: ignore[union-attr]
  writer, sizes = tools(method)
  if isinstance(node, ast.Name) and _is_parameter(method, node.id) and _may_be_absent(plan, method, node.id):
    axis = _ask(method, node.id, plan, sizes)
    sizes.absent.add((method.name, node.id))
    return placeholder_part(axis, 'all')
  if not isinstance(value, Array) or not value.optional:
    return None
  test, holds = _given_where(method, node)
  if test is None:
    raise NotStatic(f'whether {size.argument} is given in line {node.lineno} is only known at the call')
  shape = shape_text(value.shape, sizes, size_text)
  return f'{shape} if {condition_text(test, holds, method, plan, writer, sizes)} else None'


def _argument(call: ast.Call, name: str, names: list[str]) -> ast.expr | None:
  for keyword in call.keywords:
    if keyword.arg == name:
      return keyword.value
  position = names.index(name) if name in names else -1
  return call.args[position] if 0 <= position < len(call.args) else None


def _ask(method: ast.FunctionDef, name: str, plan: ClassPlan, sizes: SizeWriter) -> InputAxis:
  value = plan.analysis.arguments.get(method.name, {}).get(name)
  axis = InputAxis(method.name, name, 0, len(value.shape) if isinstance(value, Array) else 0)
  sizes.needed[axis] = None
  return axis


def _is_parameter(method: ast.FunctionDef, name: str) -> bool:
  """Tells whether the name is an argument of the method that nothing assigns."""
  arguments = {item.arg for item in (*method.args.args, *method.args.kwonlyargs)}
  return name in arguments and not any(
    name in targets(node) for node in ast.walk(method) if isinstance(node, ast.stmt) and node is not method
  )


def _may_be_absent(plan: ClassPlan, method: ast.FunctionDef, name: str) -> bool:
  listed = plan.analysis.parameters.get(method.name, [])
  return any(parameter.name == name and parameter.role == 'optional' for parameter in listed)


def _given_where(method: ast.FunctionDef, node: ast.expr) -> tuple[ast.expr | None, bool]:
  """Returns the condition under which a value is not None: of `x if test else None`, or of an `if` that sets a variable."""
  if isinstance(node, ast.IfExp):
    for part, holds in ((node.orelse, True), (node.body, False)):
      if _is_none(part):
        return node.test, holds
    return None, True
  if not isinstance(node, ast.Name):
    return None, True
  stores = [item for item in ast.walk(method) if isinstance(item, ast.stmt) and node.id in targets(item)]
  if not all(isinstance(item, ast.Assign) for item in stores):
    return None, True
  if len(stores) == 1:
    return _given_where(method, stores[0].value) if isinstance(stores[0].value, ast.IfExp) else (None, True)  # type: ignore[attr-defined]
  absent = [item for item in stores if _is_none(item.value)]  # type: ignore[attr-defined]
  given = [item for item in stores if not _is_none(item.value)]  # type: ignore[attr-defined]
  if len(absent) != 1 or not given:
    return None, True
  for condition in ast.walk(method):
    if isinstance(condition, ast.If):
      for branch, other, holds in ((condition.body, condition.orelse, True), (condition.orelse, condition.body, False)):
        before = absent[0] in other or (absent[0] in method.body and absent[0].lineno < condition.lineno)
        if all(item in branch for item in given) and before:
          return condition.test, holds
  return None, True


def _is_none(node: ast.expr) -> bool:
  return isinstance(node, ast.Constant) and node.value is None
