"""Puts the text of a class together: what stays of it, with the constructor before its first method."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from typing import Any

from .text import Edits, SourceText


class ClassText:
  """The text of one class.

  edits: what changes in the methods; base_indent: of the class; unit: of one level.
  """

  def __init__(self, cls: Any, source: SourceText, edits: Edits, base_indent: str, unit: str) -> None:
    self.cls = cls
    self.source = source
    self.edits = edits
    self.indent = base_indent + unit
    self.unit = unit

  def text(self, signature: str, body: list[str], properties: Mapping[str, list[str]]) -> str:
    """Returns the new class.

    signature: of the constructor; body: its lines; properties: lines of properties that go behind it, by name.
    """
    node = self.cls.node
    init = self._constructor(signature, body, properties)
    place = self._place(node)
    for start, end in self._removed():
      self.edits.replace_range(start, end, '')
    start, end = self.source.start(node), self.source.line_end(self.source.end(node))
    before = self.edits.apply(start, place).rstrip(' \n')
    after = self.edits.apply(place, end).strip('\n')
    text = f'{before}\n\n{init}'
    if after.strip():
      text += f'\n\n{after}'
    return text.rstrip('\n') + '\n'

  def _removed(self) -> list[tuple[int, int]]:
    ranges = []
    floor = self.source.own_start(self.cls.node)
    for statement in self.cls.node.body:
      if hides_property(self.cls, statement):
        continue
      end = self.source.line_end(self.source.end(statement))
      if is_field(self.cls, statement) or (isinstance(statement, ast.FunctionDef) and statement.name == 'setup'):
        ranges.append((self.source.leading_comments(statement, self.source.line_end(floor)), end))
      if isinstance(statement, ast.Pass):
        ranges.append((self.source.line_start(self.source.own_start(statement)), end))
    return ranges

  def _place(self, node: ast.ClassDef) -> int:
    """Returns where the constructor goes: before the first method, or at the end."""
    for statement in node.body:
      if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return self.source.leading_comments(statement, self.source.line_end(self.source.own_start(node)))
    return self.source.line_end(self.source.end(node.body[-1]))

  def _constructor(self, signature: str, body: list[str], properties: Mapping[str, list[str]]) -> str:
    inner = self.indent + self.unit
    while body and not body[-1].strip():
      body = body[:-1]
    lines = [textwrap.indent(line, inner) for line in body] or [f'{inner}pass']
    behind = ''.join(self._property(name, rows) for name, rows in properties.items())
    return signature + '\n' + '\n'.join(lines) + behind

  def _property(self, name: str, lines: list[str]) -> str:
    inner = self.indent + self.unit
    rows = [f'{inner}{line}' if line else line for line in lines]
    return f'\n\n{self.indent}@property\n{self.indent}def {name}(self):\n' + '\n'.join(rows)


def is_field(cls: Any, statement: ast.stmt) -> bool:
  """Tells whether a statement of a class body declares a field."""
  return isinstance(statement, ast.AnnAssign) and any(
    field.node is statement for field in cls.own_fields.values()
  )


def hides_property(cls: Any, statement: ast.stmt) -> bool:
  """Tells of a field in place of an inherited property: it stays, as the property would refuse the attribute."""
  if not isinstance(statement, ast.AnnAssign) or statement.value is None or not is_field(cls, statement):
    return False
  name = ast.unparse(statement.target)
  return any(name in base.own_methods and base.own_methods[name].is_property for base in cls.mro[1:])
