"""Classes that already use NNX classes as Linen ones: an earlier run left them Linen, and they stay so.

What `as_linen` makes is a Linen module, whose sizes and weights cannot be seen; an NNX class cannot hold it.
"""

from __future__ import annotations

import ast
from typing import Any

from rewrites.bridge import AS_LINEN

from .names_in import read


def uses_linen_face(source: Any) -> int | None:
  """Returns the line where a class, or what it names in its own file, calls `as_linen`; None if nothing does.

  source: the class.
  """
  module = source.module
  binding = module.bindings.get(AS_LINEN.name)
  if binding is None or binding.kind != 'import':
    return None
  pending: list[ast.AST] = [source.node]
  seen: set[str] = set()
  while pending:
    node = pending.pop()
    line = next((child.lineno for child in ast.walk(node) if _is_call(child)), None)
    if line is not None:
      return line
    for name in sorted(read(node) - seen):
      seen.add(name)
      found = module.functions.get(name) or module.assignments.get(name)
      if found is not None:
        pending.append(found)
  return None


def _is_call(node: ast.AST) -> bool:
  return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == AS_LINEN.name
