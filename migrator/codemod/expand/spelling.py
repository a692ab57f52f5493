"""Names of one file written in another."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from migrator.codemod.text import SourceText
from migrator.source.modules import module_from_text
from rewrites.written_out import WRITTEN_OUT

from .binding import NotExpandable
from .draft import Draft
from .substitution import is_pure_builtin
from .wanted import Key

_PURE = ('jax.', 'numpy.', 'math.', 'functools.partial')


class Spelling:
  """How the file of a class says what other files mean.

  module: the file as it is on disk; draft: its text, which takes new imports.
  """

  def __init__(self, project: Any, module: Any, draft: Draft) -> None:
    self.project = project
    self.module = module
    self.draft = draft
    self.imported: dict[str, str] = {}
    self._texts: dict[str, SourceText] = {}
    self._linen: dict[str, Any] = {}

  def text_of(self, module: Any) -> SourceText:
    if module.name not in self._texts:
      self._texts[module.name] = SourceText(module.text)
    return self._texts[module.name]

  def function(self, name: str) -> tuple[Any, Any] | None:
    """Returns the module and the statement of a function, also of one of Linen that is written out."""
    text = WRITTEN_OUT.get(name)
    if text is None:
      return self.project.function(name)
    if name not in self._linen:
      self._linen[name] = module_from_text(text, name.rpartition('.')[0])
    module = self._linen[name]
    return module, module.functions[name.rpartition('.')[2]]

  def entity(self, text: str) -> str | None:
    """Returns what a dotted name of the class's file means."""
    first, _, rest = text.partition('.')
    if first in self.imported:
      return f'{self.imported[first]}.{rest}' if rest else self.imported[first]
    return self.project.resolve(self.module, text)

  def pure(self, call: ast.Call) -> bool:
    """Tells whether a call is known to compute only."""
    name = ast.unparse(call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else None
    found = self.entity(name) if name is not None and '(' not in name and '[' not in name else None
    if found is None:
      return False
    if found.startswith('builtins.'):
      return is_pure_builtin(found.removeprefix('builtins.'))
    short = found.rsplit('.', 1)[-1]
    return found.startswith(_PURE) or (found.startswith('flax.linen.') and short.islower())

  def speller(self, key: Key, call: ast.Call, hidden: set[str]) -> Callable[[str], str]:
    """Returns the function that spells the names of a callee; `hidden` are the caller's variables."""
    if key.kind != 'module':
      return lambda name: name
    callee, _ = self.function(key.name) or (None, None)
    prefix = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else None

    def spelled(name: str) -> str:
      meaning = self.project.resolve(callee, name)
      if callee is self.module or (meaning is not None and self.entity(name) == meaning):
        if name in hidden:
          raise NotExpandable(f'{name} means something else where it is called')
        return name
      if meaning is not None and meaning.startswith('builtins.'):
        return name
      if prefix is not None and callee is not None and name in callee.bindings and callee.bindings[name].kind != 'import':
        return f'{prefix}.{name}'
      return self._import(name, callee, meaning, hidden)

    return spelled

  def _import(self, name: str, callee: Any, meaning: str | None, hidden: set[str]) -> str:
    """Adds the import that makes a name of the callee's file known."""
    if meaning is None or name in hidden or name in self.module.bindings:
      raise NotExpandable(f'{name} of {callee.name} is not known where it is called')
    statement = self._statement(name, callee)
    tree = self.draft.tree
    last = [item for item in tree.body if isinstance(item, (ast.Import, ast.ImportFrom))]
    if not last:
      raise NotExpandable(f'{name} of {callee.name} is not known where it is called')
    raise _NeedsImport(name, meaning, statement, last[-1].lineno)

  def _statement(self, name: str, callee: Any) -> str:
    for node in callee.tree.body:
      if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
          if (alias.asname or alias.name.split('.')[0]) == name:
            if isinstance(node, ast.ImportFrom) and node.level and callee.package != self.module.package:
              raise NotExpandable(f'{name} of {callee.name} is imported relatively')
            return ast.unparse(type(node)(**{**dict(ast.iter_fields(node)), 'names': [alias]}))
    if name in callee.bindings and callee.package == self.module.package and callee.package:
      return f'from .{callee.name.rpartition(".")[2]} import {name}'
    return f'from {callee.name} import {name}'

  def add(self, needed: _NeedsImport) -> None:
    """Puts an import behind the last one of the file's head."""
    source = self.draft.source
    last = [item for item in self.draft.tree.body if isinstance(item, (ast.Import, ast.ImportFrom))][-1]
    end = source.line_end(source.end(last))
    self.draft.replace(end, end, f'{needed.statement}\n')
    self.imported[needed.name] = needed.meaning


class _NeedsImport(Exception):
  """A name has to be imported before the call can be written out."""

  def __init__(self, name: str, meaning: str, statement: str, line: int) -> None:
    super().__init__(name)
    self.name, self.meaning, self.statement, self.line = name, meaning, statement, line


NeedsImport = _NeedsImport
