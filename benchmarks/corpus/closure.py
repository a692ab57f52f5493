"""Which files of a package some of its modules need to be imported, read from their import statements.

The `__init__.py` files between import most of a package.  Here they are cut down to the names the
needed modules take from them, so that a model can be imported without the rest.
"""
from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path


class Closure:
  """The needed part of the sources below a folder.

  modules: dotted names of modules that are copied whole.  exports: of every needed package, the lines of its
  shortened `__init__.py`, and whether importing always needs them.  foreign: dotted names of modules from
  elsewhere that importing always needs: no import on the way to them is inside of an `if` or a `try`.
  """

  def __init__(self, source: Path):
    self.source = source
    self.modules: set[str] = set()
    self.exports: dict[str, dict[str, bool]] = {}
    self.foreign: set[str] = set()
    self._followed: set[tuple[str, bool]] = set()
    self._always = True

  def add(self, name: str) -> None:
    """Adds a module or package by its dotted name, and what it needs."""
    for parent in _parents(name):
      self.exports.setdefault(parent, {})
    if self._is_package(name):
      self.exports.setdefault(name, {})
    elif (name, self._always) not in self._followed:
      self._followed.add((name, self._always))
      self.modules.add(name)
      self._follow(name)

  def holds(self, name: str) -> bool:
    """Tells whether the sources have such a module or package."""
    return self._is_package(name) or self.file(name).is_file()

  def file(self, name: str) -> Path:
    """Returns the file of a module."""
    path = self.source.joinpath(*name.split('.'))
    return path / '__init__.py' if self._is_package(name) else path.with_suffix('.py')

  def _is_package(self, name: str) -> bool:
    return self.source.joinpath(*name.split('.')).is_dir()

  def _follow(self, name: str) -> None:
    tree = ast.parse(self.file(name).read_text(encoding='utf-8'))
    always = self._always
    for node in _run_on_import(tree.body):
      self._always = always and node in tree.body
      if isinstance(node, ast.Import | ast.ImportFrom) and self._always:
        self._note_foreign(node)
      if isinstance(node, ast.Import):
        self._follow_import(node, tree)
      elif isinstance(node, ast.ImportFrom):
        self._follow_names(self._base(name, node), node, tree)
    self._always = always

  def _note_foreign(self, node: ast.Import | ast.ImportFrom) -> None:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or '']
    if isinstance(node, ast.Import) or node.level == 0:
      self.foreign |= {name for name in names if not self.holds(name.split('.')[0])}

  def _follow_import(self, node: ast.Import, tree: ast.Module) -> None:
    for alias in node.names:
      if self.holds(alias.name):
        self.add(alias.name)
        bound = alias.asname or alias.name.split('.')[0]
        self._follow_attributes(alias.name if alias.asname else bound, bound, tree)

  def _follow_names(self, base: str, node: ast.ImportFrom, tree: ast.Module) -> None:
    if not self.holds(base):
      return
    self.add(base)
    for alias in node.names:
      self._take(base, alias.name)
      self._follow_attributes(f'{base}.{alias.name}', alias.asname or alias.name, tree)

  def _follow_attributes(self, target: str, bound: str, tree: ast.Module) -> None:
    """Takes from a package bound to a name what the module reads from it as attributes."""
    if not self._is_package(target):
      return
    for chain in sorted({chain for node in ast.walk(tree) if (chain := _chain(node)) and chain[0] == bound}):
      place = target
      for part in chain[1:]:
        if not self._is_package(place):
          break
        self._take(place, part, as_attribute=True)
        place = f'{place}.{part}'

  def _take(self, package: str, name: str, as_attribute: bool = False) -> None:
    """Makes a name of a package available: from its `__init__.py`, or as a module in it.

    A module that is read as an attribute must have been imported, which the whole `__init__.py` did.
    """
    key = (f'{package}:{name}:{as_attribute}', self._always)
    if not self._is_package(package) or key in self._followed:
      return
    self._followed.add(key)
    init, lines = self.file(package), self.exports.setdefault(package, {})
    tree = ast.parse(init.read_text(encoding='utf-8')) if init.is_file() else ast.Module([], [])
    line = self._export(package, name, tree)
    if line is None and self.holds(f'{package}.{name}'):
      self.add(f'{package}.{name}')
      line = f'import {package}.{name}' if as_attribute else None
    if line is not None:
      lines[line] = self._always or lines.get(line, False)

  def _export(self, package: str, name: str, tree: ast.Module) -> str | None:
    stars = []
    for node in ast.walk(tree):
      if isinstance(node, ast.ImportFrom):
        base = self._base(package, node)
        found = next((alias for alias in node.names if (alias.asname or alias.name) == name), None)
        if found is not None and base != package:
          return self._import_line(base, found)
        stars += [base] * (node.names[0].name == '*' and base != package)
    for node in tree.body:
      if isinstance(node, ast.Assign) and name in [ast.unparse(to) for to in node.targets]:
        return ast.unparse(node) if isinstance(node.value, ast.Constant) else None
    star = next((base for base in stars if self.holds(base) and not self._is_package(base)
                 and name in _defined(self.file(base))), None)
    return self._import_line(star, ast.alias(name)) if star else None

  def _import_line(self, base: str, alias: ast.alias) -> str:
    if self.holds(base):
      self.add(base)
      self._take(base, alias.name)
    return ast.unparse(ast.ImportFrom(base, [alias], 0))

  def _base(self, name: str, node: ast.ImportFrom) -> str:
    if not node.level:
      return node.module or ''
    parts = name.split('.') if self._is_package(name) else name.split('.')[:-1]
    kept = parts[:len(parts) - node.level + 1]
    return '.'.join([*kept, *([node.module] if node.module else [])])


def needed(source: Path, modules: Sequence[str]) -> Closure:
  """Returns what the modules need, themselves included."""
  closure = Closure(source)
  for name in modules:
    closure.add(name)
  return closure


def _parents(name: str) -> list[str]:
  parts = name.split('.')
  return ['.'.join(parts[:size]) for size in range(1, len(parts))]


def _run_on_import(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
  """Yields the statements that importing the module may run; functions are lazy, type checking is not run."""
  for node in body:
    yield node
    if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
      yield from _run_on_import(node.orelse)
    elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
      for part in ('body', 'orelse', 'finalbody'):
        yield from _run_on_import(getattr(node, part, []))
      for handler in getattr(node, 'handlers', []):
        yield from _run_on_import(handler.body)


def _chain(node: ast.AST) -> tuple[str, ...]:
  parts: list[str] = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  return (node.id, *reversed(parts)) if isinstance(node, ast.Name) and parts else ()


def _defined(file: Path) -> set[str]:
  names: set[str] = set()
  for node in ast.parse(file.read_text(encoding='utf-8')).body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      names.add(node.name)
    elif isinstance(node, ast.Assign):
      names |= {to.id for to in node.targets if isinstance(to, ast.Name)}
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
      names.add(node.target.id)
  return names
