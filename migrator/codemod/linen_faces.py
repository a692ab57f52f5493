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
  modules = (project.whole or project).modules
  if not any(AS_LINEN.name in module.bindings for module in modules.values()):
    return None
  pending: list[tuple[Any, ast.AST]] = [(source.module, source.node)]
  seen: set[str] = set()
  while pending:
    module, node = pending.pop()
    nodes = list(ast.walk(node))
    line = next((child.lineno for child in nodes if isinstance(child, ast.Call) and _is_call(child)), None)
    if line is not None:
      return line
    for child in nodes:
      if not isinstance(child, (ast.Name, ast.Attribute)):
        continue
      home, _, name = (project.resolve_node(module, child) or '').partition(':')
      found = modules.get(home)
      if found is None or not name or f'{home}:{name}' in seen:
        continue
      seen.add(f'{home}:{name}')
      value = found.functions.get(name) or found.assignments.get(name)
      if value is not None:
        pending.append((found, value))
  return None


def _is_call(node: ast.Call) -> bool:
  name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, 'id', '')
  return name == AS_LINEN.name
