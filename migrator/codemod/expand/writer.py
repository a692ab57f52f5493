"""Writes out the calls of one class, one after the other."""

from __future__ import annotations

import ast
from typing import Any

from migrator.codemod.names_in import function_locals
from migrator.codemod.text import Edits, SourceText

from .binding import NotExpandable, bind
from .body import BodyWriter
from .draft import Draft
from .sites import Site, class_at, first_site, may_precede, methods_of
from .spelling import NeedsImport, Spelling
from .substitution import Substitution
from .wanted import Key

_MOST = 200  # calls of one class
_ATOMS = (ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.JoinedStr)


class ClassExpander:
  """Changes the draft of the file a class stands in.

  place: the class's place in its file, 'Outer.Inner'; keys: the functions to write out.
  """

  def __init__(self, project: Any, module: Any, place: str, keys: set[Key], draft: Draft) -> None:
    self.project = project
    self.module = module
    self.place = place
    self.keys = keys
    self.draft = draft
    self.free: dict[tuple[str, Key], set[str]] = {}
    self.spelling = Spelling(project, module, draft)

  def write(self) -> None:
    """Writes out every call.

    Raises:
      NotExpandable: one of them cannot be.
    """
    for _ in range(_MOST):
      site = first_site(self._node(), self._match)
      if site is None:
        break
      try:
        self._expand(site)
      except NeedsImport as needed:
        self.spelling.add(needed)
    else:
      raise NotExpandable('too many calls')
    self._tidy()

  def _node(self) -> ast.ClassDef:
    node = class_at(self.draft.tree, self.place)
    if node is None:
      raise NotExpandable('the class is not found')
    return node

  def _match(self, call: ast.Call, method: ast.FunctionDef) -> Key | None:
    func = call.func
    if isinstance(func, ast.Name) and Key('local', func.id, method.name) in self.keys:
      return Key('local', func.id, method.name)
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == _self(method):
      key = Key('method', func.attr)
      return key if key in self.keys and func.attr != method.name else None
    if isinstance(func, (ast.Name, ast.Attribute)):
      root = func
      while isinstance(root, ast.Attribute):
        root = root.value  # type: ignore[assignment]
      if not isinstance(root, ast.Name) or root.id in function_locals(method):
        return None
      name = self.spelling.entity(ast.unparse(func))
      key = Key('module', name or '')
      return key if key in self.keys else None
    return None

  # -- one call --------------------------------------------------------------------------------------

  def _expand(self, site: Site) -> None:
    function, source, receiver, closes = self._callee(site)
    arguments = bind(function, site.call, receiver)
    taken = function_locals(site.method) | {
      node.id for node in ast.walk(site.method) if isinstance(node, ast.Name)
    }
    free = self.free.setdefault((site.method.name, site.key), set())
    names = Substitution(
      function, source, arguments, self.draft.source, taken, free,
      self.spelling.speller(site.key, site.call, function_locals(site.method)), closes, _target(site), self.spelling.pure,
    )
    try:
      self._straight(site, names)
    except _Ends:
      self._branching(site, names, taken)
    free |= names.introduced

  def _callee(self, site: Site) -> tuple[Any, SourceText, ast.expr | None, bool]:
    key = site.key
    if key.kind == 'module':
      found = self.spelling.function(key.name)
      if found is None or found[1].decorator_list or not isinstance(found[1], ast.FunctionDef):
        raise NotExpandable(f'{key.name} cannot be written out')
      return found[1], self.spelling.text_of(found[0]), None, False
    if key.kind == 'method':
      node = next((item for item in methods_of(self._node()) if item.name == key.name), None)
      if node is None or any('nowrap' not in ast.unparse(item) for item in node.decorator_list):
        raise NotExpandable(f'{key.name} is decorated')
      assert isinstance(site.call.func, ast.Attribute)
      return node, self.draft.source, site.call.func.value, True
    local = [item for item in _local_functions(site.method) if item[0] == key.name]
    if len(local) != 1 or getattr(local[0][1], 'decorator_list', []):
      raise NotExpandable(f'{key.name} is not one plain function')
    return local[0][1], self.draft.source, None, True

  def _writer(self, site: Site, names: Substitution, result: Any) -> BodyWriter:
    method_indent = self.draft.source.indent(site.method)
    unit = self.draft.source.indent(site.method.body[0])[len(method_indent) :]
    return BodyWriter(names, self.draft.source.indent(site.statement), unit, result)

  def _straight(self, site: Site, names: Substitution) -> None:
    """The function runs to one `return`, whose expression takes the place of the call."""
    try:
      lines, text = self._writer(site, names, lambda _: []).tail()
    except NotExpandable as error:
      raise _Ends from error
    if lines:
      may_precede(site, self.spelling.pure)
    if _only_value(site) and text is not None and text == _target(site):
      self._replace(site, lines, whole=True)
    elif isinstance(site.statement, ast.Expr) and site.statement.value is site.call and text in (None, 'None'):
      self._replace(site, lines, whole=True)
    else:
      self._put(site, lines, text or 'None')

  def _branching(self, site: Site, names: Substitution, taken: set[str]) -> None:
    """The function has several ends: its branches go in front of the statement, or become a choice in its place."""
    try:
      may_precede(site, self.spelling.pure)
    except NotExpandable:
      self._put(site, [], self._writer(site, names, lambda _: []).choice())
      return
    statement, source = site.statement, self.draft.source
    if isinstance(statement, ast.Return) and statement.value is site.call:
      result = lambda text: [f'return {text or "None"}']
      self._replace(site, self._writer(site, names, result).block(), whole=True)
      return
    if isinstance(statement, ast.Expr) and statement.value is site.call:
      result = lambda text: [text] if text and '(' in text else ['pass']
      self._replace(site, self._writer(site, names, result).block(), whole=True)
      return
    if _only_value(site):
      head = source.slice(source.own_start(statement), source.own_start(site.call))
      target = _target(site)
      result = lambda text: [] if text == target else [f'{head}{text or "None"}']
      self._replace(site, self._writer(site, names, result).block(), whole=True)
      return
    name = names._fresh(self._result_name(site), False)
    self._put(site, self._writer(site, names, lambda text: [f'{name} = {text or "None"}']).block(), name)

  def _result_name(self, site: Site) -> str:
    called = isinstance(site.parent, ast.Call) and site.parent.func is site.call
    base = site.key.name.rpartition(':')[2].strip('_')
    return f'{base}_layer' if called else f'{base}_result'

  def _put(self, site: Site, lines: list[str], text: str) -> None:
    """Puts lines in front of the statement and a text in the place of the call."""
    edits = Edits(self.draft.source)
    tree = ast.parse(text.strip() if '\n' not in text else f'({text})', mode='eval').body
    bare = isinstance(site.parent, (ast.keyword, ast.Assign, ast.Return, ast.Expr)) or (
      isinstance(site.parent, ast.Call) and site.parent.func is not site.call
    )
    edits.replace(site.call, text if bare or isinstance(tree, _ATOMS) else f'({text})')
    self._replace(site, lines, edits=edits)

  def _replace(self, site: Site, lines: list[str], whole: bool = False, edits: Edits | None = None) -> None:
    source = self.draft.source
    start = source.line_start(source.own_start(site.statement))
    if source.slice(start, source.own_start(site.statement)).strip():
      raise NotExpandable('several statements in one line')
    end = source.line_end(source.end(site.statement if whole else site.call))
    if whole:
      behind = source.slice(source.end(site.statement), end).strip()
      if behind and not behind.startswith('#'):
        raise NotExpandable('several statements in one line')
      indent = source.indent(site.statement)
      rest = f'{indent}{behind}\n' if behind else ''
      new = rest + ''.join(line + '\n' for line in lines)
    else:
      assert edits is not None
      new = ''.join(line + '\n' for line in lines) + edits.apply(start, end)
    self.draft.replace(start, end, new)

  # -- what is left ----------------------------------------------------------------------------------

  def _tidy(self) -> None:
    """Removes the local functions and methods that nothing calls any more."""
    for key in sorted(self.keys):
      if key.kind == 'local':
        self._without_local(key)
    for key in sorted(self.keys):
      if key.kind == 'method':
        self._without_method(key)

  def _without_local(self, key: Key) -> None:
    method = next((item for item in methods_of(self._node()) if item.name == key.method), None)
    if method is None:
      return
    found = next((item for item in _local_functions(method) if item[0] == key.name), None)
    if found is None:
      return
    inside = {id(child) for child in ast.walk(found[2])}
    if any(
      isinstance(node, ast.Name) and node.id == key.name and id(node) not in inside for node in ast.walk(method)
    ):
      raise NotExpandable(f'{key.name} is used otherwise than to be called')
    self.draft.remove(found[2])

  def _without_method(self, key: Key) -> None:
    node = self._node()
    method = next((item for item in methods_of(node) if item.name == key.name), None)
    if method is None:
      return
    inside = {id(child) for child in ast.walk(method)}
    if any(
      isinstance(child, ast.Attribute) and child.attr == key.name and id(child) not in inside
      for child in ast.walk(node)
    ):
      raise NotExpandable(f'{key.name} is used otherwise than to be called')
    self.draft.remove(method)


class _Ends(Exception):
  """The function has several ends."""


def _self(method: ast.FunctionDef) -> str:
  return method.args.args[0].arg if method.args.args else ''


def _only_value(site: Site) -> bool:
  """Tells whether the statement only stores what the call returns."""
  return isinstance(site.statement, ast.Assign) and site.statement.value is site.call


def _target(site: Site) -> str | None:
  statement = site.statement
  if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
    target = statement.targets[0]
    if isinstance(target, ast.Name) and statement.value is site.call:
      return target.id
  return None


def _local_functions(method: ast.FunctionDef) -> list[tuple[str, Any, ast.stmt]]:
  """Returns the functions and lambdas that a method gives a name."""
  found: list[tuple[str, Any, ast.stmt]] = []
  for node in ast.walk(method):
    if isinstance(node, ast.FunctionDef) and node is not method:
      found.append((node.name, node, node))
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
      if isinstance(node.value, ast.Lambda):
        found.append((node.targets[0].id, node.value, node))
  return found
