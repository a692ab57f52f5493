"""Classes that already use NNX classes as Linen ones: an earlier run left them Linen, and they stay so.

What `as_linen` makes is a Linen module, whose sizes and weights cannot be seen; an NNX class cannot hold it.
"""

from __future__ import annotations

import ast
from typing import Any

from rewrites.bridge import AS_LINEN


def uses_linen_face(source: Any, project: Any) -> int | None:
  """Returns the line where a class, or a function or value of the project it names, calls `as_linen`; else None.

  source: the class.
  """
  if not any(AS_LINEN.name in module.bindings for module in project.modules.values()):
    return None
  pending: list[tuple[Any, ast.AST]] = [(source.module, source.node)]
  seen: set[str] = set()
  while pending:
    module, node = pending.pop()
    nodes = list(ast.walk(node))
    line = next((child.lineno for child in nodes if _is_call(child)), None)
    if line is not None:
      return line
    for child in nodes:
      if not isinstance(child, (ast.Name, ast.Attribute)):
        continue
      home, _, name = (project.resolve_node(module, child) or '').partition(':')
      found = project.modules.get(home)
      if found is None or not name or f'{home}:{name}' in seen:
        continue
      seen.add(f'{home}:{name}')
      value = found.functions.get(name) or found.assignments.get(name)
      if value is not None:
        pending.append((found, value))
  return None


def _is_call(node: ast.AST) -> bool:
  return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == AS_LINEN.name
