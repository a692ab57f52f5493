"""The one writer of import statements: removes, adds and merges, and leaves the rest as it is.

A new import takes the place of a removed one from the same package, joins an existing
`from module import ...`, or goes where the file's own order puts it.
"""
from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import libcst as cst

from migrator.codemod.import_edits import (
  Import,
  aliases_of,
  bound_name,
  keep_comments,
  merged,
  module_name,
  replaced,
  target,
  without,
)
from migrator.codemod.import_order import GONE, close_up, insert, is_gone, joined, leading, strip_blanks
from migrator.source.bindings import imported_names
from migrator.source.modules import module_from_text
from migrator.source.names import dotted, find_binding
from migrator.source.uses import written_names


@dataclasses.dataclass(frozen=True, order=True)
class ImportRequest:
  """`from module import name as alias`; with name None `import module as alias`.  The module may be relative."""

  module: str
  name: str | None = None
  alias: str | None = None

  @property
  def local(self) -> str:
    """The name it binds."""
    return self.alias or self.name or self.module.partition('.')[0]

  @property
  def target(self) -> str:
    """The dotted thing it brings."""
    if self.name is None:
      return self.module
    return self.module + self.name if self.module.endswith('.') else f'{self.module}.{self.name}'

  @property
  def text(self) -> str:
    renamed = '' if self.alias in (None, self.name) else f' as {self.alias}'
    if self.name is None:
      return f'import {self.module}{renamed}'
    return f'from {self.module} import {self.name}{renamed}'


def rewrite_imports(source: str, *, remove: set[str], add: Sequence[ImportRequest]) -> str:
  """Removes and adds imports; a second run with the same arguments changes nothing.

  Args:
    source: text of a Python file.
    remove: local names whose imports go, wherever in the file they are bound; 'flax.linen.*' for
      `from flax.linen import *`.
    add: imports the file needs; those it has are left alone.
  Returns:
    the new text; comments and all other formatting are kept.  A file without statements comes back as it is.
  Raises:
    ValueError: a name to add is bound to something else by an import that stays.
  """
  mark = '\ufeff' if source.startswith('\ufeff') else ''
  module = cst.parse_module(source.removeprefix(mark))
  if not module.body:
    return source
  pending = _missing(module, sorted(set(add)), remove)
  drop = _drop(remove, add)
  for step in (_exchange_names, _merge, _exchange_statements):
    module, pending = step(module, pending, drop)
  module = module.visit(_Lines(lambda statement: _kept(statement, drop)))
  for request in pending:
    line = cst.ensure_type(cst.parse_statement(request.text, module.config_for_parsing), cst.SimpleStatementLine)
    module = insert(module, line)
  return mark + module.code


Drop = Callable[[Import, cst.ImportAlias | None], bool]


def _drop(remove: set[str], add: Iterable[ImportRequest]) -> Drop:
  """Returns the test whether an imported name goes (None: the star)."""
  wanted = {(request.local, request.target) for request in add}

  def drop(statement: Import, alias: cst.ImportAlias | None) -> bool:
    if alias is None:
      return f'{module_name(cst.ensure_type(statement, cst.ImportFrom))}.*' in remove
    name = bound_name(statement, alias)
    return name in remove and (name, target(statement, alias)) not in wanted

  return drop


def _kept(statement: Import, drop: Drop) -> Import | None:
  """Returns what stays of a statement; None when it goes as a whole."""
  if isinstance(statement.names, cst.ImportStar):
    return None if drop(statement, None) else statement
  return without(statement, lambda alias: drop(statement, alias))


Step = tuple[cst.Module, list[ImportRequest]]


def _missing(module: cst.Module, requests: list[ImportRequest], remove: set[str]) -> list[ImportRequest]:
  """Returns the requests that the file does not fulfil yet."""
  bound: dict[str, set[str]] = {}
  for statement in _placeable(module.body):
    for alias in aliases_of(statement):
      bound.setdefault(bound_name(statement, alias), set()).add(target(statement, alias))
  missing = [request for request in requests if request.target not in bound.get(request.local, ())]
  for request in missing:
    # `import jax` beside `import jax.numpy` binds the same package.
    others = {other for other in bound.get(request.local, ()) if request.name or request.local != other.partition('.')[0]}
    if others and request.local not in remove:
      raise ValueError(f'cannot add `{request.text}`: `{request.local}` is already imported from '
                       f'{min(others)}; rename that import, or ask for an alias.')
  return missing


def _placeable(body: Iterable[cst.BaseStatement]) -> list[Import]:
  """Returns the import statements at module level, also those in the body of a try: where a new one may stand."""
  found: list[Import] = []
  for statement in body:
    if isinstance(statement, cst.SimpleStatementLine):
      found.extend(small for small in statement.body if isinstance(small, (cst.Import, cst.ImportFrom)))
    elif isinstance(statement, (cst.Try, cst.TryStar)) and isinstance(statement.body, cst.IndentedBlock):
      found.extend(_placeable(cast('Sequence[cst.BaseStatement]', statement.body.body)))
  return found


def _exchange_names(module: cst.Module, pending: list[ImportRequest], drop: Drop) -> Step:
  """Puts a requested name where the same from-import drops one: `from flax import linen as nn` -> `... import nnx`."""
  left = list(pending)

  def edit(statement: Import) -> Import:
    if not isinstance(statement, cst.ImportFrom):
      return statement
    for alias in aliases_of(statement):
      request = next((item for item in left if item.name and item.module == module_name(statement)), None)
      if request is not None and drop(statement, alias):
        statement = replaced(statement, alias, _alias(request))
        left.remove(request)
    return statement

  return _edit_placeable(module, edit), left


def _merge(module: cst.Module, pending: list[ImportRequest], drop: Drop) -> Step:
  """Adds requested names to from-imports of the same module that stay."""
  left = list(pending)
  certain = {id(small) for line in module.body if isinstance(line, cst.SimpleStatementLine) for small in line.body}

  def edit(statement: Import) -> Import:
    if id(statement) not in certain or not isinstance(statement, cst.ImportFrom):
      return statement
    if isinstance(statement.names, cst.ImportStar) or _kept(statement, drop) is None:
      return statement
    name = module_name(statement)
    for request in [item for item in left if item.name and item.module == name]:
      statement = merged(cast(cst.ImportFrom, statement), _alias(request))
      left.remove(request)
    return statement

  return _edit_placeable(module, edit), left


def _exchange_statements(module: cst.Module, pending: list[ImportRequest], drop: Drop) -> Step:
  """Puts a requested import in the place of a statement that goes as a whole and is from the same package."""
  left = list(pending)

  def edit(statement: Import) -> Import:
    aliases = aliases_of(statement)
    if _kept(statement, drop) is not None:
      return statement
    package = (target(statement, aliases[0]) if aliases else module_name(statement)).partition('.')[0]
    request = next((item for item in left if package and item.target.partition('.')[0] == package), None)
    if request is None:
      return statement
    left.remove(request)
    new = cst.ensure_type(cst.parse_statement(request.text), cst.SimpleStatementLine).body[0]
    return cast(Import, new).with_changes(semicolon=statement.semicolon)

  return _edit_placeable(module, edit), left


def _alias(request: ImportRequest) -> cst.ImportAlias:
  line = cst.ensure_type(cst.parse_statement(request.text), cst.SimpleStatementLine)
  return aliases_of(cast(Import, line.body[0]))[0]


def _edit_placeable(module: cst.Module, edit: Callable[[Import], Import]) -> cst.Module:
  places = {id(statement) for statement in _placeable(module.body)}
  return module.visit(_Lines(lambda statement: edit(statement) if id(statement) in places else statement))


def unused(source: str, names: set[str]) -> set[str]:
  """Returns which of `names` are bound by an import in `source` and used nowhere.

  Quoted annotations, `__all__` and `import x as x` (a declared re-export) count as uses; a local variable of the
  same name does not.
  """
  module = module_from_text(source)
  bound: set[str] = set()
  used = set(module.exported or ())
  if module.exported is None and '__all__' in module.bindings:
    used |= names  # Computed: any name may be in it.
  for node, scope in written_names(module):
    if isinstance(node, (ast.Import, ast.ImportFrom)):
      bound.update(imported_names(node))
      used.update(alias.name for alias in node.names if alias.asname == alias.name)
      continue
    name = (dotted(node) or '').partition('.')[0]
    binding, _ = find_binding(name, scope)
    if binding is None or binding.kind in ('import', 'outer'):
      used.add(name)
  return (names & bound) - used


class _Lines(cst.CSTTransformer):
  """Edits every import statement; a line or block left empty closes up, its comments stay."""

  def __init__(self, edit: Callable[[Import], Import | None]):
    super().__init__()
    self._edit = edit

  def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> bool:
    return False

  def leave_SimpleStatementLine(self, original_node: cst.SimpleStatementLine,
                                updated_node: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    body = self._small(original_node.body)
    if body is None:
      return original_node
    edited = original_node.with_changes(body=body or [GONE])
    if not body:
      edited = edited.with_changes(trailing_whitespace=cst.TrailingWhitespace())
    return keep_comments(original_node, edited)

  def leave_SimpleStatementSuite(self, original_node: cst.SimpleStatementSuite,
                                 updated_node: cst.SimpleStatementSuite) -> cst.SimpleStatementSuite:
    body = self._small(original_node.body)
    return original_node if body is None else original_node.with_changes(body=body or [cst.Pass()])

  def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> bool:
    return False

  def leave_IndentedBlock(self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock) -> cst.IndentedBlock:
    body, rest = close_up(updated_node.body)
    if not body:
      empty = cst.SimpleStatementLine([cst.Pass()], leading_lines=rest)
      return updated_node.with_changes(body=[empty])
    return updated_node.with_changes(body=body, footer=[*rest, *updated_node.footer])

  def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
    body, rest = close_up(updated_node.body)
    edited = updated_node.with_changes(body=body, footer=[*rest, *updated_node.footer])
    if not body or not is_gone(updated_node.body[0]):
      return edited
    # The gap between the comments on top and the first statement must not add up.
    above = joined(updated_node.header, leading(body[0]))[:-len(leading(body[0])) or None]
    lines = leading(body[0]) if above else strip_blanks(leading(body[0]))
    return edited.with_changes(header=above, body=[body[0].with_changes(leading_lines=lines), *body[1:]])

  def _small(self, statements: Sequence[cst.BaseSmallStatement]) -> list[cst.BaseSmallStatement] | None:
    """Returns the edited statements of a line; None when nothing changed."""
    body: list[cst.BaseSmallStatement] = []
    for statement in statements:
      edited = self._edit(statement) if isinstance(statement, (cst.Import, cst.ImportFrom)) else statement
      if edited is not None:
        body.append(edited)
    if len(body) == len(statements) and all(new is old for new, old in zip(body, statements, strict=True)):
      return None
    if body and len(body) < len(statements):
      body[-1] = body[-1].with_changes(semicolon=statements[-1].semicolon)
    return body
