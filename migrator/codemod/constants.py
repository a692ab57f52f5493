"""Local variables that only depend on the fields: they are the same in the constructor, arrays included."""

from __future__ import annotations

import ast

from .names_in import targets

_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def constant_locals(method: ast.FunctionDef, known: set[str], made: set[int], whole: bool) -> set[str]:
  """Returns the local variables of a method that nothing but fields and module-level things decide.

  known: attributes of `self` that are fixed at construction.
  made: ids of the expressions that make modules, parameters and variables.
  whole: all statements of the method go to the constructor, so that a variable may be changed in place.
  """
  arguments = method.args
  given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
  own = method.args.args[0].arg if method.args.args else 'self'
  bindings: list[tuple[set[str], list[ast.AST]]] = []
  _collect(method.body, [], bindings, whole)
  names = set().union(*(bound for bound, _ in bindings)) if bindings else set()
  varying = {item.arg for item in given if item is not None} - {own}
  constant = names - varying
  while True:
    wrong = {
      name
      for bound, reasons in bindings
      for name in bound & constant
      if not all(_fixed(node, constant, names | varying, own, known, made) for node in reasons)
    }
    if not wrong:
      return constant
    constant -= wrong


def _collect(
  body: list[ast.stmt], around: list[ast.AST], bindings: list[tuple[set[str], list[ast.AST]]], whole: bool
) -> None:
  """Lists what binds or changes local variables, with all expressions that decide the value."""
  for node in body:
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
      value = [node.value] if node.value is not None else []
      changed = {root.id for root in _roots(node) if isinstance(root, ast.Name)} - targets(node)
      bindings.append((targets(node), [*around, *value]))
      bindings.append((changed, [*around, *value] if whole else [node]))
      continue
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.With, ast.Try)):
      inner = getattr(node, 'body', [])
      bindings.append((targets(node) | {name for item in inner for name in targets(item)}, [node]))
      continue
    if isinstance(node, ast.Expr):
      # A method called for its effect may change the variable it is called on.
      called = node.value.func if isinstance(node.value, ast.Call) else None
      root = called.value if isinstance(called, ast.Attribute) else None
      if isinstance(root, ast.Name):
        bindings.append(({root.id}, [*around, node.value] if whole else [node]))
      continue
    decides = [getattr(node, field) for field in ('test', 'iter') if hasattr(node, field)]
    if isinstance(node, ast.For):
      bindings.append((targets(node.target) or _names(node.target), [*around, node.iter]))
    for part in ('body', 'orelse'):
      _collect(getattr(node, part, []), [*around, *decides], bindings, whole)


def _roots(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[ast.expr]:
  found = list(node.targets) if isinstance(node, ast.Assign) else [node.target]
  roots = []
  for item in found:
    for part in item.elts if isinstance(item, (ast.Tuple, ast.List)) else [item]:
      while isinstance(part, (ast.Subscript, ast.Starred)):
        part = part.value
      roots.append(part)
  return roots


def _names(node: ast.AST) -> set[str]:
  return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _fixed(
  node: ast.AST, constant: set[str], local: set[str], own: str, known: set[str], made: set[int]
) -> bool:
  if isinstance(node, ast.stmt):
    return False
  bound = {
    name
    for scope in ast.walk(node)
    if isinstance(scope, _SCOPES)
    for name in (
      {item.arg for item in scope.args.args}
      if isinstance(scope, ast.Lambda)
      else set().union(*(_names(clause.target) for clause in scope.generators))
    )
  }
  attributes = {
    id(child.value): child.attr
    for child in ast.walk(node)
    if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name)
  }
  for child in ast.walk(node):
    if id(child) in made or isinstance(child, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
      return False
    if not isinstance(child, ast.Name) or child.id in bound:
      continue
    if child.id == own:
      if attributes.get(id(child)) not in known:
        return False
    elif child.id in local and child.id not in constant:
      return False
  return True
