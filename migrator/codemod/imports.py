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
  merged,
  module_name,
  replaced,
  target,
  without,
)
from migrator.codemod.import_lines import ImportLines
from migrator.codemod.import_order import insert
from migrator.codemod.import_region import ImportRegion
from migrator.source.bindings import imported_names
from migrator.source.modules import SourceModule, module_from_text
from migrator.source.names import dotted, find_binding
from migrator.source.uses import written_names


@dataclasses.dataclass(frozen=True, order=True)
class ImportRequest:
  """`from module import name as alias`; with name None `import module as alias`; module may be relative."""

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


def rewrite_imports(
  source: str, *, remove: set[str], add: Sequence[ImportRequest], tree: ast.Module | None = None
) -> str:
  """Removes and adds imports; a second run with the same arguments changes nothing.

  Args:
    source: text of a Python file.
    remove: local names whose imports go, wherever in the file they are bound; 'flax.linen.*' for
      `from flax.linen import *`.
    add: imports the file needs; those it has are left alone.
    tree: the syntax tree of `source`, if it is known already.
  Returns:
    the new text; comments and all other formatting are kept.  A file without statements comes back as it is.
  Raises:
    ValueError: a name to add is bound to something else by an import that stays.
  """
  mark = '\ufeff' if source.startswith('\ufeff') else ''
  text = source.removeprefix(mark)
  region = ImportRegion(text, ast.parse(text) if tree is None else tree)
  module = cst.parse_module(region.text)
  if not module.body:
    return source
  pending = _missing(module, sorted(set(add)), remove)
  drop = _drop(remove, add)
  for step in (_exchange_names, _merge, _exchange_statements):
    module, pending = step(module, pending, drop)
  module = module.visit(ImportLines(lambda statement: _kept(statement, drop)))
  for request in pending:
    line = cst.parse_statement(request.text, module.config_for_parsing)
    module = insert(module, cst.ensure_type(line, cst.SimpleStatementLine))
  return mark + region.whole(module.code)


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
    others = {other for other in bound.get(request.local, ())
              if request.name or request.alias or request.local != other.partition('.')[0]}
    if others and request.local not in remove:
      raise ValueError(f'cannot add `{request.text}`: `{request.local}` is already imported from '
                       f'{min(others)}; rename that import, or ask for an alias.')
  return missing


def _placeable(body: Iterable[cst.BaseStatement]) -> list[Import]:
  """Returns the imports at module level, also in the body of a try: where a new one may stand."""
  found: list[Import] = []
  for statement in body:
    if isinstance(statement, cst.SimpleStatementLine):
      found.extend(small for small in statement.body if isinstance(small, (cst.Import, cst.ImportFrom)))
    elif isinstance(statement, (cst.Try, cst.TryStar)) and isinstance(statement.body, cst.IndentedBlock):
      found.extend(_placeable(statement.body.body))
  return found


def _exchange_names(module: cst.Module, pending: list[ImportRequest], drop: Drop) -> Step:
  """Puts a requested name where a from-import of the same module drops one."""
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
  lines = [line for line in module.body if isinstance(line, cst.SimpleStatementLine)]
  certain = {id(small) for line in lines for small in line.body}

  def edit(statement: Import) -> Import:
    if id(statement) not in certain or not isinstance(statement, cst.ImportFrom):
      return statement
    if isinstance(statement.names, cst.ImportStar) or _kept(statement, drop) is None:
      return statement
    name = module_name(statement)
    for request in [item for item in left if item.name and item.module == name]:
      statement = merged(statement, _alias(request))
      left.remove(request)
    return statement

  return _edit_placeable(module, edit), left


def _exchange_statements(module: cst.Module, pending: list[ImportRequest], drop: Drop) -> Step:
  """Puts a requested import in the place of a statement that goes as a whole and is from the same package."""
  left = list(pending)

  def edit(statement: Import) -> Import:
    if _kept(statement, drop) is not None:
      return statement
    package = _module(statement).partition('.')[0]
    request = next((item for item in left if package and item.target.partition('.')[0] == package), None)
    if request is None:
      return statement
    left.remove(request)
    new = cst.ensure_type(cst.parse_statement(request.text), cst.SimpleStatementLine).body[0]
    return cast(Import, new).with_changes(semicolon=statement.semicolon)

  return _edit_placeable(module, edit), left


def _module(statement: Import) -> str:
  if isinstance(statement, cst.ImportFrom):
    return module_name(statement)
  return target(statement, aliases_of(statement)[0])


def _alias(request: ImportRequest) -> cst.ImportAlias:
  line = cst.ensure_type(cst.parse_statement(request.text), cst.SimpleStatementLine)
  return aliases_of(cast(Import, line.body[0]))[0]


def _edit_placeable(module: cst.Module, edit: Callable[[Import], Import]) -> cst.Module:
  places = {id(statement) for statement in _placeable(module.body)}
  lines = ImportLines(lambda statement: edit(statement) if id(statement) in places else statement)
  return module.visit(lines)


def unused(source: str, names: set[str]) -> set[str]:
  """Returns which of `names` are bound by an import in `source` and used nowhere.

  Quoted annotations, `__all__` and `import x as x` (a declared re-export) count as uses; a local variable of
  the same name does not.
  """
  return unused_in(module_from_text(source), names)


def unused_in(module: SourceModule, names: set[str]) -> set[str]:
  """As `unused`, for a file that is parsed already."""
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
