"""Calls in a class that are to be written out, and where their statements may be preceded by others."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterator

from .binding import NotExpandable
from .wanted import Key


@dataclasses.dataclass
class Site:
  """One call.

  method: the method it stands in; statement: the innermost statement around it; path: the nodes from the
  statement down to the call, without the call.
  """

  key: Key
  method: ast.FunctionDef
  statement: ast.stmt
  call: ast.Call
  path: list[ast.AST]

  @property
  def parent(self) -> ast.AST:
    return self.path[-1]


def class_at(tree: ast.Module, path: str) -> ast.ClassDef | None:
  """Returns the class 'Outer.Inner' of a module."""
  body: list[ast.stmt] = tree.body
  found: ast.ClassDef | None = None
  for name in path.split('.'):
    found = next((item for item in body if isinstance(item, ast.ClassDef) and item.name == name), None)
    if found is None:
      return None
    body = found.body
  return found


def methods_of(node: ast.ClassDef) -> list[ast.FunctionDef]:
  return [item for item in node.body if isinstance(item, ast.FunctionDef)]


def first_site(node: ast.ClassDef, match: Callable[[ast.Call, ast.FunctionDef], Key | None]) -> Site | None:
  """Returns the first call, in the order of evaluation, that `match` knows."""
  for method in methods_of(node):
    for statement in _statements(method.body):
      for call, path in _calls(statement):
        key = match(call, method)
        if key is not None:
          return Site(key, method, statement, call, path)
  return None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
  """Yields statements in order; what stands in nested functions is left out."""
  for statement in body:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
      continue
    yield statement
    for part in ('body', 'orelse', 'handlers', 'finalbody'):
      for inner in getattr(statement, part, []):
        if isinstance(inner, ast.ExceptHandler):
          yield from _statements(inner.body)
        elif isinstance(inner, ast.stmt):
          yield from _statements([inner])


def _calls(statement: ast.stmt) -> Iterator[tuple[ast.Call, list[ast.AST]]]:
  """Yields the calls of a statement's own expressions, inner ones first."""

  def visit(node: ast.AST, path: list[ast.AST]) -> Iterator[tuple[ast.Call, list[ast.AST]]]:
    for child in ast.iter_child_nodes(node):
      if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.Lambda)):
        yield from visit(child, [*path, node])
    if isinstance(node, ast.Call):
      yield node, path

  yield from visit(statement, [])


def may_precede(site: Site, pure: Callable[[ast.Call], bool]) -> None:
  """Raises NotExpandable unless statements may be put in front of the call's statement."""
  statement = site.statement
  if isinstance(statement, (ast.While, ast.Assert, ast.Delete)):
    raise NotExpandable(f'it is called in a {type(statement).__name__.lower()} statement')
  nodes = [*site.path[1:], site.call]
  for outer, inner in zip(nodes, nodes[1:]):
    if isinstance(outer, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)):
      raise NotExpandable('it is called in a comprehension')
    if isinstance(outer, ast.IfExp) and inner is not outer.test:
      raise NotExpandable('it is called in a conditional expression')
    if isinstance(outer, ast.BoolOp) and inner is not outer.values[0]:
      raise NotExpandable('it is called in a condition')
  inside = {id(child) for child in ast.walk(site.call)}
  for call, _ in _calls(statement):
    if call is site.call:
      break
    if id(call) not in inside and not pure(call):
      raise NotExpandable('another call in its statement comes first')
