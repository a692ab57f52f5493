"""One parsed module: its definitions, its scopes and its simple facts."""
from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from migrator.source.bindings import Binding, Body, Function, blocks, read_body
from migrator.source.files import Parsed, SourceFile
from migrator.source.nodes import Nodes
from migrator.source.skips import Skips, read_skips

Definition: TypeAlias = Function | ast.ClassDef
ScopeNode: TypeAlias = (
  Definition | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)


class Scope:
  """A function, class, lambda or comprehension inside a module; parent is None directly in the module."""

  def __init__(self, node: ScopeNode, parent: Scope | None):
    self.node = node
    self.parent = parent

  @functools.cached_property
  def bindings(self) -> dict[str, Binding]:
    node = self.node
    if isinstance(node, ast.ClassDef):
      return read_body(node.body).bindings
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
      return read_body(node.body, node.args, expressions=True).bindings
    if isinstance(node, ast.Lambda):
      return read_body((), node.args).bindings
    names = {name.id for generator in node.generators for name in ast.walk(generator.target)
             if isinstance(name, ast.Name)}
    return {name: Binding(name, 'parameter', node.lineno) for name in names}

  @property
  def is_class(self) -> bool:
    return isinstance(self.node, ast.ClassDef)


@dataclasses.dataclass(frozen=True)
class Definitions:
  """Every class and function of a module: its scope, and its place ('Outer.Inner', 'make.<locals>.Block')."""

  scopes: dict[ast.AST, Scope]
  places: dict[ast.AST, str]
  classes: list[ast.ClassDef]


@dataclasses.dataclass(eq=False)
class SourceModule:
  """A parsed Python file.

  path: absolute; relative: posix, below the root; name: dotted module name; text: as on disk, line ends kept;
  tree: its syntax tree; newline: '\\n' or '\\r\\n'; selected: among the paths the user gave; others are only changed where they use classes of those.
  """

  path: Path
  name: str
  relative: str
  text: str
  tree: ast.Module
  newline: str
  is_package: bool
  selected: bool

  @functools.cached_property
  def body(self) -> Body:
    return read_body(self.tree.body)

  @property
  def bindings(self) -> dict[str, Binding]:
    """Module-level names; of several bindings the one that counts, the rest in `others`."""
    return self.body.bindings

  @property
  def stars(self) -> tuple[str, ...]:
    return self.body.stars

  @functools.cached_property
  def definitions(self) -> Definitions:
    return _definitions(self.tree)

  @functools.cached_property
  def nodes(self) -> Nodes:
    """Every node of the tree, and what it lies in."""
    return Nodes(self.tree)

  @functools.cached_property
  def skips(self) -> Skips:
    """The places with a `# linen2nnx: skip` comment."""
    return read_skips(self.text, self.tree)

  @functools.cached_property
  def functions(self) -> dict[str, Function]:
    """Module-level functions by name."""
    return {name: binding.node for name, binding in self.bindings.items()
            if isinstance(binding.node, (ast.FunctionDef, ast.AsyncFunctionDef))}

  @functools.cached_property
  def assignments(self) -> dict[str, ast.expr]:
    """Module-level `name = expression`, the last one; without names also bound in a loop, if or try."""
    return {name: binding.node for name, binding in self.bindings.items()
            if binding.kind == 'value' and isinstance(binding.node, ast.expr)
            and not any(item.conditional for item in (binding, *binding.others))}

  @functools.cached_property
  def exported(self) -> frozenset[str] | None:
    """The names in a literal `__all__`; None without one, or when it is computed."""
    binding = self.bindings.get('__all__')
    if binding is None:
      return None
    names: set[str] = set()
    for item in (binding, *binding.others):
      if not isinstance(item.node, (ast.List, ast.Tuple)):
        return None
      for value in item.node.elts:
        if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
          return None
        names.add(value.value)
    return frozenset(names)

  def is_public(self, name: str) -> bool:
    """Returns whether a star import of this module brings `name`, if it is bound here."""
    return not name.startswith('_') if self.exported is None else name in self.exported

  @functools.cached_property
  def class_names(self) -> dict[ast.ClassDef, str]:
    """Each class and its place, all different: of several under one name, the one it means goes plain."""
    names: dict[ast.ClassDef, str] = {}
    repeated: dict[str, list[ast.ClassDef]] = {}
    for node in self.definitions.classes:
      repeated.setdefault(self.definitions.places[node], []).append(node)
    for place, nodes in repeated.items():
      bound = self.bindings.get(place)
      first = bound.node if bound is not None and bound.node in nodes else nodes[0]
      rest = (node for node in nodes if node is not first)
      names[first] = place
      names.update({node: f'{place}#{number}' for number, node in enumerate(rest, 2)})
    return names

  def scope_of(self, node: ast.AST | None) -> Scope | None:
    """Returns the scope of a function or class of this module; None stands for the module itself."""
    return None if node is None else self.definitions.scopes.get(node)

  @property
  def package(self) -> str:
    """The package that `from . import` means here."""
    return self.name if self.is_package else self.name.rpartition('.')[0]


def module_from(file: SourceFile, parsed: Parsed) -> SourceModule:
  """Puts what was parsed under its name."""
  return SourceModule(file.path, file.name, file.relative, parsed.text, parsed.tree, parsed.newline,
                      file.is_package, file.selected)


def module_from_text(text: str, name: str = 'module') -> SourceModule:
  """Parses `text` as a module that stands alone."""
  tree = ast.parse(text.removeprefix('\ufeff'))
  return SourceModule(Path(f'{name}.py'), name, f'{name}.py', text, tree, '\n', False, True)


def _definitions(tree: ast.Module) -> Definitions:
  """Lists the classes and functions of a module in source order, each with its scope and place."""
  found = Definitions({}, {}, [])

  def enter(statements: Iterable[ast.stmt], parent: Scope | None, prefix: str) -> None:
    for node in _direct_definitions(statements):
      scope = Scope(node, parent)
      found.scopes[node] = scope
      found.places[node] = prefix + node.name
      if isinstance(node, ast.ClassDef):
        found.classes.append(node)
      enter(node.body, scope, f'{prefix}{node.name}.' if scope.is_class else f'{prefix}{node.name}.<locals>.')

  enter(tree.body, None, '')
  return found


def _direct_definitions(statements: Iterable[ast.stmt]) -> Iterator[Definition]:
  """Yields the definitions directly in a body, through if, try and loops."""
  for statement in statements:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
      yield statement
      continue
    for block in blocks(statement):
      yield from _direct_definitions(block)
