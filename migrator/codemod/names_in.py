"""Which names a piece of syntax binds and reads."""

from __future__ import annotations

import ast
from collections.abc import Collection

_BINDING = (
  ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.NamedExpr, ast.FunctionDef, ast.ClassDef, ast.With, ast.Import,
  ast.ImportFrom,
)

def targets(node: ast.AST) -> set[str]:
  """Returns the names a statement binds directly (assignment targets, loop variables, function names)."""
  found: set[str] = set()
  if isinstance(node, ast.Assign):
    found |= {name for target in node.targets for name in stored(target)}
  elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For, ast.NamedExpr)):
    found |= stored(node.target)
  elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
    found.add(node.name)
  elif isinstance(node, ast.With):
    found |= {
      name for item in node.items if item.optional_vars is not None for name in stored(item.optional_vars)
    }
  elif isinstance(node, (ast.Import, ast.ImportFrom)):
    found |= {(alias.asname or alias.name).split('.')[0] for alias in node.names}
  return found


def changed(node: ast.AST) -> set[str]:
  """Returns the variables a statement binds, or changes in place: `a[0] = 1`, `a += 1`, `a.append(1)`."""
  found = targets(node)
  if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
    places = list(node.targets) if isinstance(node, ast.Assign) else [node.target]
    for place in places:
      for part in place.elts if isinstance(place, (ast.Tuple, ast.List)) else [place]:
        while isinstance(part, (ast.Subscript, ast.Starred)):
          part = part.value
        found |= {part.id} if isinstance(part, ast.Name) else set()
  if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
    called = node.value.func
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
      found.add(called.value.id)
  return found


def stored(target: ast.AST) -> set[str]:
  """Returns the plain names in an assignment target."""
  return {
    node.id
    for node in ast.walk(target)
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del))
  } | ({target.id} if isinstance(target, ast.Name) else set())


def function_locals(function: ast.FunctionDef) -> set[str]:
  """Returns the local variables and parameters of a function, those of nested functions left out."""
  arguments = function.args
  found = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
  found |= {argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument is not None}

  waiting: list[ast.AST] = list(function.body)
  while waiting:
    node = waiting.pop()
    if isinstance(node, _BINDING):
      found |= targets(node)
    if not isinstance(node, (ast.Name, ast.Constant, ast.FunctionDef, ast.Lambda, ast.ClassDef)):
      waiting += ast.iter_child_nodes(node)
  return found


def bound_by(node: ast.AST) -> set[str]:
  """Returns the names that a lambda, a comprehension or a nested function binds for what is inside it."""
  if isinstance(node, (ast.Lambda, ast.FunctionDef)):
    arguments = node.args
    names = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    names |= {argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument is not None}
    return names | (function_locals(node) if isinstance(node, ast.FunctionDef) else set())
  if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
    return {name for generator in node.generators for name in stored(generator.target)}
  return set()


def read(node: ast.AST, skip: Collection[int] = frozenset()) -> set[str]:
  """Returns the names read in a piece of syntax; subtrees whose id is in `skip` are left out."""
  if id(node) in skip:
    return set()
  found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else set()
  if isinstance(node, ast.AugAssign):
    found |= stored(node.target)
  for child in ast.iter_child_nodes(node):
    found |= read(child, skip)
  return found
