"""Writes the statements of a function where it is called."""

from __future__ import annotations

import ast
from collections.abc import Callable

from ..text import standalone
from .binding import NotExpandable
from .substitution import Substitution


class BodyWriter:
  """Statements of one function at one call.

  names: what stands for its names; indent, unit: of the statement that calls it.
  result: lines for the value that the function returns, given its text (None stands for no value).
  """

  def __init__(
    self, names: Substitution, indent: str, unit: str, result: Callable[[str | None], list[str]]
  ) -> None:
    self.names = names
    self.source = names.source
    self.indent = indent
    self.unit = unit
    self.result = result
    self.floor = 0

  def tail(self) -> tuple[list[str], str | None]:
    """Returns the lines before the only `return` and its text, for a body that runs straight to its end.

    Raises:
      NotExpandable: the body has several ends.
    """
    function = self.names.function
    if isinstance(function, ast.Lambda):
      return self._prelude(), self._expression(function.body, self.indent)
    body = self._live(_without_docstring(function.body))
    last = body[-1] if body else None
    if not isinstance(last, ast.Return) or any(_returns(statement) for statement in body[:-1]):
      raise NotExpandable('several ends')
    self.floor = self.source.line_end(self.source.own_start(function))
    lines = self._prelude()
    for statement in body[:-1]:
      lines += self._plain(statement, self.indent)
    lines += self._comments(last, self.indent)
    return lines, None if last.value is None else self._expression(last.value, self.indent)

  def choice(self) -> str:
    """Returns one expression for a body that only chooses what it returns: `A if test else B`.

    Raises:
      NotExpandable: it does more than that.
    """
    function = self.names.function
    assert isinstance(function, ast.FunctionDef)
    if self.names.prelude:
      raise NotExpandable('an argument that is computed once')
    self.floor = self.source.line_end(self.source.own_start(function))
    return self._chosen(self._live(_without_docstring(function.body)))

  def _chosen(self, body: list[ast.stmt]) -> str:
    first = body[0] if body else None
    if isinstance(first, ast.Return) and first.value is not None and not self._comments(first, ''):
      return self._expression(first.value, self.indent)
    if not isinstance(first, ast.If) or self._comments(first, '') or first.orelse and len(body) > 1:
      raise NotExpandable('several ends')
    then, other = self._chosen(self._live(first.body)), self._chosen(self._live(first.orelse or body[1:]))
    parts = [_operand(then), f'if {_operand(self._expression(first.test, self.indent))}', f'else {other}']
    # Creations become longer: each on a line of its own.
    return f'\n{self.indent}{self.unit}'.join(parts)

  def block(self) -> list[str]:
    """Returns the lines of the whole body, each end giving its value to `result`."""
    function = self.names.function
    assert isinstance(function, ast.FunctionDef)
    self.floor = self.source.line_end(self.source.own_start(function))
    return self._prelude() + self._statements(self._live(_without_docstring(function.body)), self.indent)

  def _prelude(self) -> list[str]:
    return [self.indent + line for line in self.names.prelude]

  def _live(self, body: list[ast.stmt]) -> list[ast.stmt]:
    """Returns the statements that run: branches that the call decides are opened, parameters are not deleted."""
    found: list[ast.stmt] = []
    for statement in body:
      if isinstance(statement, ast.Delete) and all(isinstance(item, ast.Name) for item in statement.targets):
        continue
      holds = self.names.truth(statement.test) if isinstance(statement, ast.If) else None
      if isinstance(statement, ast.If) and holds is not None:
        found += self._live(statement.body if holds else statement.orelse)
      else:
        found.append(statement)
      if found and isinstance(found[-1], (ast.Return, ast.Raise)):
        break
    return found

  def _statements(self, body: list[ast.stmt], indent: str) -> list[str]:
    lines: list[str] = []
    for position, statement in enumerate(body):
      if isinstance(statement, ast.Return):
        text = None if statement.value is None else self._expression(statement.value, indent)
        return lines + self._comments(statement, indent) + [indent + line for line in self.result(text)]
      if not _returns(statement):
        lines += self._plain(statement, indent)
        if isinstance(statement, ast.Raise):
          return lines
        continue
      if not isinstance(statement, ast.If):
        raise NotExpandable(f'it returns from inside a {type(statement).__name__.lower()} statement')
      return lines + self._ends(statement, body[position + 1 :], indent)
    return lines + [indent + line for line in self.result(None)]

  def _ends(self, node: ast.If, rest: list[ast.stmt], indent: str) -> list[str]:
    """An `if` with a `return` in it: what follows it belongs to the branches that go on."""
    then, orelse = self._live(node.body), self._live(node.orelse)
    if rest and not _leaves(then):
      if not _leaves(orelse):
        raise NotExpandable('it returns from one of several branches')
      then = [*then, *rest]
    elif rest and not _leaves(orelse):
      orelse = [*orelse, *rest]
    deeper = indent + self.unit
    first = self._statements(then, deeper) or [deeper + 'pass']
    lines = self._comments(node, indent) + [f'{indent}if {self._expression(node.test, indent)}:', *first]
    second = '\n'.join(self._statements(orelse, deeper)).split('\n')
    second = second if second != [''] else []
    if len(orelse) == 1 and isinstance(orelse[0], ast.If) and second[0].startswith(f'{deeper}if '):
      return lines + [f'{indent}el{second[0].lstrip()}', *(line[len(self.unit) :] for line in second[1:])]
    return lines + ([f'{indent}else:', *second] if second else [])

  # -- text -------------------------------------------------------------------------------------------

  def _expression(self, node: ast.expr, indent: str) -> str:
    rows = self.names.edits.node(node).split('\n')
    old = self.source.indent(node)
    text = '\n'.join([rows[0], *(self._moved(row, old, '') for row in rows[1:])])
    alone = standalone(text)
    plain = alone == text
    if not plain and alone.startswith('(\n'):
      return alone.replace('\n', '\n' + indent)
    text = '\n'.join([rows[0], *(self._moved(row, old, indent) for row in rows[1:])])
    return text if plain else f'({text})'

  def _plain(self, statement: ast.stmt, indent: str) -> list[str]:
    source, old = self.source, self.source.indent(statement)
    end = source.end(statement)
    if not self._alone(statement):
      return [indent + row for row in self.names.edits.apply(source.start(statement), end).split('\n')]
    text = self.names.edits.apply(source.line_start(source.start(statement)), end) + self._trailing(end)
    return self._comments(statement, indent) + [self._moved(row, old, indent) for row in text.split('\n')]

  def _trailing(self, end: int) -> str:
    """The comment behind a statement."""
    rest = self.source.slice(end, self.source.line_end(end)).rstrip('\n')
    return rest if rest.strip().startswith('#') else ''

  def _alone(self, statement: ast.stmt) -> bool:
    """Tells whether nothing stands before a statement in its line."""
    start = self.source.start(statement)
    return not self.source.slice(self.source.line_start(start), start).strip()

  def _comments(self, statement: ast.stmt, indent: str) -> list[str]:
    source = self.source
    start = source.leading_comments(statement, self.floor)
    text = source.slice(start, source.line_start(source.start(statement)))
    return [indent + line.strip() for line in text.splitlines() if line.strip()]

  def _moved(self, row: str, old: str, new: str) -> str:
    return new + row[len(old) :] if row.startswith(old) and row.strip() else row


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
  first = body[0]
  text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
  return body[1:] if text else body


def _operand(text: str) -> str:
  tree = ast.parse(f'({text})', mode='eval').body
  return f'({text})' if isinstance(tree, (ast.IfExp, ast.Lambda)) else text


def _returns(node: ast.AST) -> bool:
  if isinstance(node, ast.Return):
    return True
  if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
    return False
  return any(_returns(child) for child in ast.iter_child_nodes(node))


def _leaves(body: list[ast.stmt]) -> bool:
  if not body:
    return False
  last = body[-1]
  if isinstance(last, (ast.Return, ast.Raise)):
    return True
  return isinstance(last, ast.If) and _leaves(last.body) and _leaves(last.orelse)
