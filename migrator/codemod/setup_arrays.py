"""Arrays that `setup` computes: as attributes NNX would make them part of the state, so they become properties."""

from __future__ import annotations

import ast
import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

from .layer_call import Refused
from .names_in import changed, function_locals, read, stored
from .text import Edits, SourceText, standalone


@dataclasses.dataclass
class ArrayProperty:
  """One property: the statements that store the attribute, and the lines of its body."""

  name: str
  stores: list[ast.Assign]
  lines: list[str]
  locals: set[str]


class ArrayWriter:
  """Cuts out of `setup` what one attribute needs.

  rename: new text of a node that names a Linen thing, or that creates a parameter; None elsewhere.
  comments: takes the comments of a statement out of `setup` and returns them.
  """

  def __init__(
    self,
    method: ast.FunctionDef,
    source: SourceText,
    unit: str,
    rename: Callable[[ast.AST], str | None],
    comments: Callable[[ast.stmt], list[str]],
  ) -> None:
    self.method = method
    self.source = source
    self.unit = unit
    self.rename = rename
    self.comments = comments
    self.self_name = method.args.args[0].arg if method.args.args else 'self'
    self.locals = function_locals(method) - {self.self_name}

  def property(self, name: str) -> ArrayProperty:
    """Returns the property that stands for `self.<name>`.

    Raises:
      Refused: the attribute, or a variable it needs, is made in a way that cannot be cut out.
    """
    stores: list[ast.Assign] = []
    for node in ast.walk(self.method):
      if not isinstance(node, ast.stmt) or not self._stores(node, name):
        continue
      if isinstance(node, ast.Assign) and len(node.targets) == 1 and self._is(node.targets[0], name):
        stores.append(node)
      else:
        raise Refused(
          f'setup stores an array that is no parameter (line {node.lineno}); NNX would make it part of the state'
        )
    needed = self._needed(stores, conditions=len(stores) > 1)
    if len(stores) > 1 and name in needed:
      raise Refused(f'setup stores an array in self.{name} and uses a variable {name} (line {stores[0].lineno})')
    body = self._block(self.method.body, name, stores, needed, 0)
    if len(stores) == 1:
      value = standalone(textwrap.dedent(self._text(stores[0].value, None)))
      lines = [*self.comments(stores[0]), *body, *f'return {value}'.split('\n')]
    else:
      lines = [*body, f'return {name}']
    return ArrayProperty(name, stores, lines, needed)

  def _needed(self, stores: list[Any], conditions: bool) -> set[str]:
    """Returns the local variables of `setup` that the stores need, and those that these need."""
    needed: set[str] = set()
    found = {name for node in stores for name in read(node.value)}
    if conditions:
      found |= self._deciding({id(node) for node in stores})
    while fresh := (found & self.locals) - needed:
      needed |= fresh
      making = [node for node in ast.walk(self.method) if isinstance(node, ast.stmt) and changed(node) & fresh]
      for node in making:
        if isinstance(node, ast.For):
          found |= read(node.iter)
        elif _is_simple(node):
          found |= read(node) | changed(node)
        else:
          raise Refused(f'setup stores an array made of {", ".join(sorted(fresh))} (line {node.lineno})')
      found |= self._deciding({id(node) for node in making})
    return needed

  def _deciding(self, inside: set[int]) -> set[str]:
    """Returns the names that decide whether these statements run, and how often."""
    found: set[str] = set()
    for node in ast.walk(self.method):
      if isinstance(node, (ast.If, ast.For)) and any(id(child) in inside for child in ast.walk(node) if child is not node):
        found |= read(node.test) if isinstance(node, ast.If) else read(node.iter) | stored(node.target)
    return found

  def _block(self, body: list[ast.stmt], name: str, stores: list[Any], needed: set[str], level: int) -> list[str]:
    lines: list[str] = []
    for node in body:
      if any(node is item for item in stores):
        lines += self._store(node, name, level) if len(stores) > 1 else []
      elif _is_simple(node) and changed(node) & needed:
        lines += self._lines(self._text(node, name), level)
      elif isinstance(node, ast.For) and not any(child is item for child in ast.walk(node) for item in stores):
        inner = self._block(node.body, name, stores, needed, level + 1)
        if inner and node.orelse:
          raise Refused(f'setup stores an array made in a loop with else (line {node.lineno})')
        head = f'for {self._text(node.target, None)} in {standalone(self._text(node.iter, None))}:'
        lines += [*self._lines(head, level), *inner] if inner else []
      elif isinstance(node, ast.If):
        lines += self._branches(node, name, stores, needed, level)
      elif any(isinstance(child, ast.stmt) and changed(child) & needed for child in ast.walk(node)):
        raise Refused(f'setup stores an array made in a loop (line {node.lineno})')
      elif any(child is item for child in ast.walk(node) for item in stores):
        raise Refused(f'setup stores an array in a loop (line {node.lineno}); NNX would make it part of the state')
    return lines

  def _branches(self, node: ast.If, name: str, stores: list[Any], needed: set[str], level: int) -> list[str]:
    body = self._block(node.body, name, stores, needed, level + 1)
    orelse = self._block(node.orelse, name, stores, needed, level + 1)
    if not body and not orelse:
      return []
    test = standalone(self._text(node.test, name if len(stores) > 1 else None))
    lines = [f'{self.unit * level}if {test}:', *(body or [f'{self.unit * (level + 1)}pass'])]
    return [*lines, f'{self.unit * level}else:', *orelse] if orelse else lines

  def _store(self, node: Any, name: str, level: int) -> list[str]:
    comments = [f'{self.unit * level}{comment}' for comment in self.comments(node)]
    return [*comments, *self._lines(f'{name} = {standalone(self._text(node.value, name))}', level)]

  def _lines(self, text: str, level: int) -> list[str]:
    return [f'{self.unit * level}{line}' if line else line for line in text.split('\n')]

  def _text(self, node: ast.AST, name: str | None) -> str:
    """Returns the text of a node; `self.<name>` is the local variable of the property."""
    edits = Edits(self.source)
    done: set[int] = set()
    for child in ast.walk(node):
      if id(child) in done:
        continue
      if name is not None and isinstance(child, ast.Attribute) and self._is(child, name):
        edits.replace(child, name)
        continue
      new = self.rename(child)
      if new is not None:
        edits.replace(child, new)
        done |= {id(inner) for inner in ast.walk(child)}
    rows = edits.node(node).split('\n')
    indent = self.source.indent(node)
    return '\n'.join([rows[0], *(row[len(indent) :] if row.startswith(indent) else row for row in rows[1:])])

  def _is(self, node: ast.AST, name: str) -> bool:
    return (
      isinstance(node, ast.Attribute)
      and node.attr == name
      and isinstance(node.value, ast.Name)
      and node.value.id == self.self_name
    )

  def _stores(self, node: ast.stmt, name: str) -> bool:
    """Tells whether a simple statement stores `self.<name>`."""
    places = list(node.targets) if isinstance(node, ast.Assign) else [getattr(node, 'target', None)]
    return any(place is not None and self._is(child, name) for place in places for child in ast.walk(place or node))


def _is_simple(node: ast.AST) -> bool:
  """Tells whether a statement only concerns local variables."""
  return isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)) and not any(
    isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store) for child in ast.walk(node)
  )


def unread(method: ast.FunctionDef, dropped: set[int], names: set[str], hoisted: set[str]) -> list[ast.stmt]:
  """Returns the assignments to these variables that nothing in `setup` reads, once `dropped` statements are gone.

  hoisted: what parameters read that are made where a dropped statement stood.
  """
  gone: list[ast.stmt] = []
  while True:
    left = dropped | {id(node) for node in gone}
    reads = set(hoisted)
    for statement in method.body:
      reads |= _read_elsewhere(statement, left)
    found = [
      node
      for node in ast.walk(method)
      if isinstance(node, ast.stmt)
      and id(node) not in left
      and _is_simple(node)
      and changed(node)
      and changed(node) <= names - reads
    ]
    if not found:
      return gone
    gone += found


def _read_elsewhere(node: ast.AST, skip: set[int]) -> set[str]:
  """As `read`, but a statement that changes variables does not count as reading them."""
  if id(node) in skip:
    return set()
  if isinstance(node, ast.stmt) and _is_simple(node):
    return read(node, skip) - changed(node)
  if not isinstance(node, ast.stmt) or isinstance(node, (ast.FunctionDef, ast.ClassDef)):
    return read(node, skip)
  return set().union(*(_read_elsewhere(child, skip) for child in ast.iter_child_nodes(node)))


__all__ = ['ArrayProperty', 'ArrayWriter', 'unread']
