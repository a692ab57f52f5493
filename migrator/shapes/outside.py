"""Methods that use a module from outside: they call its `init` or `apply` and are called on modules without variables."""

from __future__ import annotations

import ast
from typing import Any

# What only a module that is not bound to variables can do.
_FUNCTIONAL = frozenset({'init', 'apply', 'init_with_output', 'lazy_init', 'tabulate', 'bind'})
_INSIDE = ('__call__', 'setup', '__post_init__')


def outside_methods(source: Any) -> frozenset[str]:
  """Returns the methods of a class, inherited ones included, that only code outside of modules can call.

  They use `self.init`, `self.apply` and the like, or another such method.  Empty if that would make `__call__`,
  `setup` or a compact method one of them.
  """
  defined = {*source.methods, *source.fields}
  wanted = set(_FUNCTIONAL - defined)
  uses = {
    name: _attributes_of_self(method.node) for name, method in source.methods.items() if not method.is_static
  }
  found: set[str] = set()
  while True:
    more = {name for name, used in uses.items() if used & (wanted | found)} - found
    if not more:
      return frozenset(found)
    found |= more
    if any(name in _INSIDE or source.methods[name].compact for name in more):
      return frozenset()


def _attributes_of_self(method: ast.FunctionDef) -> set[str]:
  if not method.args.args:
    return set()
  own = method.args.args[0].arg
  return {
    node.attr
    for node in ast.walk(method)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == own
  }
