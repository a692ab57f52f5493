"""Code of a class that the interpreter never came to although it makes modules: nothing is known of their sizes."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from typing import Any

from rewrites.registry import layer_for

from .linen_names import LinenNames
from .plan import ClassPlan


def unreached_creations(plan: ClassPlan, names: LinenNames, skip: Collection[str]) -> tuple[list[str], list[str]]:
  """Returns what is made where the interpreter never came, as 'RMSNorm (line 12)': what may run, and what never does.

  Sizes that are the same symbol are equal in every run, so what a comparison of shapes rules out never runs.

  names: Linen names of the module.
  skip: methods that stay as they are.
  """
  may_run: dict[int, str] = {}
  never: dict[int, str] = {}
  for method in plan.source.own_methods.values():
    if method.name in skip:
      continue
    for node in _unreached(method.node, plan.analysis.record.values):
      name = _module_made(node, plan, names, method.node)
      if name is None and method.name == 'setup' and _stored(node):
        name = ast.unparse(node.value.func)
      if name is not None:
        found = never if _shapes_are_equal(plan, node) else may_run
        found[node.lineno] = f'{name} (line {node.lineno})'
  return list(may_run.values()), list(never.values())


def _unreached(method: ast.FunctionDef, values: dict[int, Any]) -> Iterator[Any]:
  """Yields the calls and the assignments of calls whose value was never asked for."""
  pending: list[ast.AST] = list(reversed(method.body))
  while pending:
    node = pending.pop()
    value = node.value if isinstance(node, ast.Assign) else node
    if isinstance(value, ast.Call) and id(value) not in values:
      yield node
    pending += reversed(list(ast.iter_child_nodes(node)))


def _shapes_are_equal(plan: ClassPlan, node: ast.AST) -> bool:
  """Tells whether a piece of code was never reached because two shapes or sizes that are compared are equal."""
  nodes, values = plan.source.module.nodes, plan.analysis.record.values
  while (parent := nodes.parent(node)) is not None and not isinstance(node, ast.FunctionDef):
    if isinstance(parent, ast.If) and id(parent.test) in values and node is not parent.test:
      return _found_equal(parent.test, values[id(parent.test)])
    node = parent
  return False


def _found_equal(test: ast.expr, seen: list[Any]) -> bool:
  """Tells whether `x.shape[-1] != y.shape[-1]` was false each time, or `==` true; a number of axes is only a guess."""
  if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], (ast.Eq, ast.NotEq)):
    return False
  sides = [side.value if isinstance(side, ast.Subscript) else side for side in (test.left, test.comparators[0])]
  equal = isinstance(test.ops[0], ast.Eq)
  return all(isinstance(side, ast.Attribute) and side.attr == 'shape' for side in sides) and all(
    answer is equal for answer in seen
  )


def _module_made(node: ast.AST, plan: ClassPlan, names: LinenNames, method: ast.FunctionDef) -> str | None:
  if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Name, ast.Attribute)):
    return None
  linen = names.qualified(node.func, method)
  if linen is not None:
    return linen.rsplit('.', 1)[-1] if layer_for(linen) is not None else None
  found = plan.source.project.classes.get(names.project.resolve_node(names.module, node.func) or '')
  return found.name.rpartition(':')[2] if found is not None and found.is_linen else None


def _stored(node: ast.AST) -> bool:
  """Tells whether a statement stores what a call returns as an attribute."""
  return isinstance(node, ast.Assign) and any(isinstance(target, ast.Attribute) for target in node.targets)
