"""A repository as the codemod sees it: modules, names and classes."""
from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from migrator.report.findings import Finding
from migrator.source.bindings import Function
from migrator.source.classes import SourceClass
from migrator.source.files import SourceFile, find_files, other_files
from migrator.source.flax_names import canonical, is_linen_name
from migrator.source.index import FileIndex
from migrator.source.modules import SourceModule, module_from
from migrator.source.names import Resolver, dotted, resolve_dots
from migrator.source.relevance import relevant_modules
from migrator.source.suspicion import suspicious_classes
from migrator.source.uses import Use, uses


def read_project(
  paths: Sequence[Path], root: Path, texts: Mapping[Path, str] | None = None, callers: Sequence[Path] = ()
) -> Project:
  """Reads the Linen code in `paths`, and what it needs of the rest of the repository.

  Args:
    paths: Python files, or folders to search for them.
    root: folder that dotted module names are relative to.
    texts: texts to read in the place of files, by absolute path.
    callers: folders with further files, read where they may use what is in `paths`.
  Returns:
    the project; files that cannot be read are in its `errors`.
  """
  root = Path(root).absolute()
  files, errors = find_files(paths, root)
  files += other_files([Path(folder).absolute() for folder in callers], root, files)
  project = _read(files, root, errors, texts or {})
  project.callers = list(callers)
  return project


def read_again(project: Project, texts: Mapping[Path, str]) -> Project:
  """Returns the project read with other texts in the place of some files; what is parsed already is not parsed again.

  texts: by absolute path.
  """
  files = [file for file in project.index.files.values() if file.listed]
  fresh = [SourceFile(file.path, file.relative, file.name, file.selected) if file.path in texts else file for file in files]
  return _read(fresh, project.root, project.errors, texts)


def _read(
  files: Sequence[SourceFile], root: Path, errors: Sequence[Finding], texts: Mapping[Path, str]
) -> Project:
  for file in files:
    if file.path in texts:
      file.take(texts[file.path])
  project = Project(FileIndex(files, root), errors)
  project.select(*relevant_modules(project))
  return project


class Project:
  """The modules and classes of a repository, by name.

  root: folder that module names are relative to.
  modules: the modules that use Linen or their classes, and the project modules those import.
  classes: every class of `modules`, 'package.module:Class' -> SourceClass.
  errors: files that could not be read.
  suspicious: classes with a base that cannot be followed, in modules that use Linen.

  Other modules are read when asked for (`module`, `find_class`, `function`, `assignment`); `modules` and
  `classes` stay as they were after reading.
  """

  def __init__(self, index: FileIndex, errors: Sequence[Finding] = ()):
    self.root = index.root
    self.index = index
    self.modules: dict[str, SourceModule] = {}
    self.callers: list[Path] = []  # folders with further files
    self.whole: Project | None = None  # of a part: what it is a part of
    self._may_use_linen: frozenset[str] = frozenset()
    self.classes: dict[str, SourceClass] = {}
    self.suspicious: list[Finding] = []
    self._errors = set(errors)
    self._loaded: dict[str, SourceModule | None] = {}
    self._classes: dict[str, SourceClass] = {}
    self._uses: dict[SourceModule, list[Use]] = {}
    self._resolved: dict[tuple[SourceModule, str, ast.AST | None], str | None] = {}
    self.resolver = Resolver(self)

  @property
  def errors(self) -> list[Finding]:
    return sorted(self._errors | set(self.index.errors))

  def select(self, names: Sequence[str], may_use_linen: frozenset[str]) -> None:
    """Makes the modules `names` the ones listed in `modules` and `classes`.

    may_use_linen: the modules whose text leaves it possible that they use Linen.
    """
    self._may_use_linen = may_use_linen
    found = ((name, self.module(name)) for name in sorted(names))
    self.modules = {name: module for name, module in found if module is not None}
    listed = [item for item in self._classes.values() if item.module.name in self.modules]
    self.classes = {item.name: item for item in sorted(listed, key=lambda item: item.name)}
    self.suspicious = suspicious_classes(self)

  def part(self, names: Collection[str]) -> Project:
    """Returns the same project with only the modules `names` listed in `modules`; all its classes stay known."""
    part = copy.copy(self)
    part.whole = self.whole or self
    part.modules = {name: module for name, module in self.modules.items() if name in names}
    return part

  def resolve(self, module: SourceModule, text: str | None, scope: ast.AST | None = None) -> str | None:
    """Returns what a dotted name means.

    Args:
      module: where it is written.
      text: the name, such as 'nn.Dense'; None and other texts resolve to None.
      scope: the function or class statement it is written in, if any.
    Returns:
      'flax.linen.Dense' for things outside the project (published spelling, 'builtins.len' for builtins),
      'package.module:Name' for things defined in the project, 'package.module' for its modules; None if
      unknown.
    """
    if not text:
      return None
    key = (module, text, scope)
    if key not in self._resolved:
      self._resolved[key] = self._resolve(module, text, scope)
    return self._resolved[key]

  def _resolve(self, module: SourceModule, text: str, scope: ast.AST | None) -> str | None:
    if not all(part.isidentifier() for part in text.split('.')):
      return None
    entity = self.resolver.resolve(module, text, module.scope_of(scope))
    return None if entity is None else entity.text

  def resolve_node(self, module: SourceModule, node: ast.AST | None,
                   scope: ast.AST | None = None) -> str | None:
    """As `resolve`, for a name or attribute expression; None for any other expression."""
    return self.resolve(module, dotted(node), scope)

  def uses(self, module: SourceModule) -> list[Use]:
    """Returns every use of a name in `module` that resolves: (line, column, name)."""
    if module not in self._uses:
      self._uses[module] = uses(self, module)
    return self._uses[module]

  def may_use_linen(self, module: SourceModule) -> bool:
    """Returns whether the text of a listed module leaves it possible that it uses Linen."""
    return module.name in self._may_use_linen

  def linen_uses(self, module: SourceModule) -> list[Use]:
    """Returns the uses of names that mean `flax.linen` or something in it; none left means none is left."""
    if not self.may_use_linen(module):
      return []
    return [use for use in self.uses(module) if is_linen_name(use.name)]

  def users(self, name: str) -> list[str]:
    """Returns the names of the listed modules that mention `name` ('package.module:Class'), sorted."""
    inside = f'{name}.'
    return [module.name for module in self.modules.values()
            if any(use.name == name or use.name.startswith(inside) for use in self.uses(module))]

  def module_of(self, path: Path) -> SourceModule | None:
    """Returns the module read from the file `path`, or None."""
    path = Path(path).absolute()
    loaded = (module for module in self._loaded.values() if module is not None)
    return next((module for module in loaded if module.path == path), None)

  def find_module(self, name: str, importer: SourceModule | None = None) -> str | None:
    """Returns the project's name of the module or package that `importer` imports as `name`, or None."""
    return self.index.find(name, importer.package if importer is not None else None)

  def may_define(self, module: str, name: str) -> bool:
    """Returns whether the text of `module`, or of what it star-imports, leaves it possible that it offers `name`.

    Asked before reading any of them.
    """
    asked: set[str] = set()
    waiting = [module]
    while waiting:
      file = self.index.file(waiting.pop())
      if file is None or file.name in asked:
        continue
      asked.add(file.name)
      if file.mentions(name):
        return True
      stars = list(self._starred(file))
      if any(is_linen_name(canonical(star)) for star in stars):
        return True
      waiting += stars
    return False

  def _starred(self, file: SourceFile) -> Iterator[str]:
    """Yields the modules that the text of `file` star-imports, in the project's spelling where they are in it."""
    for star in file.stars:
      text = star.decode()
      name = text.lstrip('.')
      dots = text[:len(text) - len(name)]
      absolute = resolve_dots(dots, name, file.package)
      if absolute is not None:
        yield self.index.find(absolute, None if dots else file.package) or absolute

  def module(self, name: str) -> SourceModule | None:
    """Returns the module called `name`, read on demand; None when it is no file here, or unreadable."""
    if name not in self._loaded:
      self._loaded[name] = self._read(name)
    return self._loaded[name]

  def read_before(self, name: str) -> SourceModule | None:
    """Returns the module called `name` if it was asked for before; it is not read for this."""
    return self._loaded.get(name)

  def _read(self, name: str) -> SourceModule | None:
    file = self.index.file(name)
    if file is None:
      return None
    parsed = file.parsed
    if isinstance(parsed, Finding):
      if file.selected or not file.listed:
        self._errors.add(parsed)
      return None
    module = module_from(file, parsed)
    try:
      names = module.class_names
    except RecursionError:
      problem = f'{file.relative} is nested too deeply to read; split it.'
      self._errors.add(Finding(file.relative, 0, 'too-deep', problem, 'error'))
      return None
    for node, path in names.items():
      found = SourceClass(f'{name}:{path}', module, node, '<locals>' in path, self)
      self._classes[found.name] = found
    return module

  def find_class(self, name: str | None) -> SourceClass | None:
    """Returns the class 'package.module:Class', its module read on demand; inner classes may be inherited."""
    if name is None or ':' not in name or self.module(name.partition(':')[0]) is None:
      return None
    found = self._classes.get(name)
    outer, _, inner = name.rpartition('.')
    if found is not None or ':' not in outer:
      return found
    owner = self.find_class(outer)
    inherited = (self._classes.get(f'{item.name}.{inner}') for item in (() if owner is None else owner.mro))
    return next((item for item in inherited if item is not None), None)

  def classes_in(self, module: SourceModule) -> list[SourceClass]:
    """Returns the classes of one module in source order."""
    return [self._classes[f'{module.name}:{path}'] for path in module.class_names.values()]

  def function(self, name: str | None) -> tuple[SourceModule, Function] | None:
    """Returns the module and the statement of the module-level function 'package.module:name', or None."""
    module, path = self._place(name)
    node = None if module is None else module.functions.get(path)
    return None if module is None or node is None else (module, node)

  def assignment(self, name: str | None) -> tuple[SourceModule, ast.expr] | None:
    """Returns the module and the value of the module-level assignment 'package.module:NAME', or None."""
    module, path = self._place(name)
    node = None if module is None else module.assignments.get(path)
    return None if module is None or node is None else (module, node)

  def _place(self, name: str | None) -> tuple[SourceModule | None, str]:
    """Splits 'package.module:name' into the module and the name inside it."""
    if name is None or ':' not in name:
      return None, ''
    place, _, path = name.partition(':')
    return self.module(place), path
