"""Classes of a project: bases to a fixpoint, fields as dataclasses order them, methods."""
from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from migrator.source.bindings import Function, blocks
from migrator.source.flax_names import is_module_class
from migrator.source.modules import Scope, SourceModule
from migrator.source.names import dotted

if TYPE_CHECKING:
  from migrator.source.project import Project

_FIELD_MAKERS = frozenset({'dataclasses.field', 'flax.struct.field', 'flax.linen.kw_only_dataclasses.field'})
_DATACLASS_MAKERS = frozenset({
  'dataclasses.dataclass', 'flax.struct.dataclass', 'flax.linen.kw_only_dataclasses.dataclass',
  'chex.dataclass'})
_CLASS_VARIABLES = frozenset({'typing.ClassVar', 'typing_extensions.ClassVar'})
_DATACLASS_BASES = frozenset({'flax.struct.PyTreeNode'})
_LINEN_OWN_FIELDS = frozenset({'parent', 'name'})


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
  """One dataclass field.

  default: the default expression, or the factory expression when default_factory is True; None if required.
  kw_only, init: as `dataclasses.field` means them; owner: the class whose body declares it.
  """

  name: str
  annotation: ast.expr
  default: ast.expr | None
  default_factory: bool
  kw_only: bool
  owner: SourceClass
  node: ast.AnnAssign
  init: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
  """One method; decorators are resolved names, None where not known (see node.decorator_list)."""

  name: str
  node: Function
  owner: SourceClass
  decorators: tuple[str | None, ...]

  @property
  def compact(self) -> bool:
    return 'flax.linen.compact' in self.decorators

  @property
  def nowrap(self) -> bool:
    return 'flax.linen.nowrap' in self.decorators

  @property
  def is_property(self) -> bool:
    return bool({'builtins.property', 'functools.cached_property'} & set(self.decorators))

  @property
  def is_static(self) -> bool:
    return 'builtins.staticmethod' in self.decorators

  @property
  def is_classmethod(self) -> bool:
    return 'builtins.classmethod' in self.decorators


@dataclasses.dataclass(eq=False)
class SourceClass:
  """A class statement of the project.

  name: 'package.module:Class', 'package.module:Outer.Inner' or 'package.module:make.<locals>.Block'; a second
    class under the same name gets '#2' appended.
  in_function: defined inside a function.
  """

  name: str
  module: SourceModule
  node: ast.ClassDef
  in_function: bool
  project: Project = dataclasses.field(repr=False)

  @functools.cached_property
  def bases(self) -> tuple[str, ...]:
    """Resolved names of the bases without type arguments; the source text where not known."""
    return tuple(name or text for name, text in self._bases)

  @functools.cached_property
  def unresolved(self) -> tuple[str, ...]:
    """The texts among `bases` that could not be followed, such as the call of a class factory."""
    return tuple(text for name, text in self._bases if name is None or self._made(name))

  @functools.cached_property
  def _bases(self) -> list[tuple[str | None, str]]:
    return [(self._base(node), base_text(node)) for node in self.node.bases]

  def _base(self, node: ast.expr) -> str | None:
    name = self.project.resolve_node(self.module, _unsubscripted(node), self._outer)
    # `Base = Bar[int]` and `class Foo(Base)`: look through the assignment.
    value = None if name is None else self.project.assignment(name)
    if value is not None and isinstance(value[1], ast.Subscript):
      return self.project.resolve_node(value[0], _unsubscripted(value[1])) or name
    return name

  def _made(self, name: str) -> bool:
    """Whether a project name is something else than a class statement."""
    return ':' in name and self.project.find_class(name) is None

  @property
  def scope(self) -> Scope:
    return self.module.definitions.scopes[self.node]

  @functools.cached_property
  def mro(self) -> tuple[SourceClass, ...]:
    """The project classes in method resolution order, itself first; without C3 order, depth first."""
    return _mro(self, ())

  @functools.cached_property
  def foreign_bases(self) -> tuple[str, ...]:
    """Names outside the project that the class inherits from, directly or not, in the order met."""
    names = [base for owner in self.mro for base in owner.bases if self.project.find_class(base) is None]
    return tuple(dict.fromkeys(names))

  @functools.cached_property
  def is_linen(self) -> bool:
    """Whether the class reaches `flax.linen.Module` or a Linen layer through any number of bases."""
    return any(is_module_class(base) for base in self.foreign_bases)

  @functools.cached_property
  def is_dataclass(self) -> bool:
    """Whether its own annotations become constructor arguments."""
    callees = (_callee(item) for item in self.node.decorator_list)
    makers = {self.project.resolve(self.module, callee, self._outer) for callee in callees}
    made = makers & _DATACLASS_MAKERS or _DATACLASS_BASES.intersection(self.foreign_bases)
    return self.is_linen or bool(made)

  @functools.cached_property
  def own_fields(self) -> dict[str, Field]:
    """The annotated names of the class body; without ClassVar, 'parent' and 'name'."""
    return {field.name: field for field in _own_fields(self)}

  @functools.cached_property
  def fields(self) -> dict[str, Field]:
    """All constructor fields, inherited ones first; an overridden field keeps its place."""
    found: dict[str, Field] = {}
    for owner in reversed(self.mro):
      if owner.is_dataclass:
        found.update(owner.own_fields)
    return found

  @functools.cached_property
  def own_methods(self) -> dict[str, Method]:
    found: dict[str, Method] = {}
    for node in _body(self.node.body):
      if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        method = Method(node.name, node, self, self._decorators(node))
        if not _is_accessor(node):
          found[node.name] = method
    return found

  @functools.cached_property
  def methods(self) -> dict[str, Method]:
    """Own and inherited methods by name."""
    found: dict[str, Method] = {}
    for owner in reversed(self.mro):
      found.update(owner.own_methods)
    return found

  @functools.cached_property
  def constants(self) -> dict[str, ast.expr]:
    """Class-level `name = expression` without annotation."""
    return {target.id: node.value for node in _body(self.node.body) if isinstance(node, ast.Assign)
            for target in node.targets if isinstance(target, ast.Name)}

  @property
  def _outer(self) -> ast.AST | None:
    return None if self.scope.parent is None else self.scope.parent.node

  def _decorators(self, node: Function) -> tuple[str | None, ...]:
    return tuple(self.project.resolve(self.module, _callee(item), self.node) for item in node.decorator_list)


def base_text(node: ast.expr) -> str:
  """Returns the text of a base class without type arguments: 'base.Bar' of `base.Bar[int]`."""
  node = _unsubscripted(node)
  return dotted(node) or ast.unparse(node)


def _unsubscripted(node: ast.expr) -> ast.expr:
  while isinstance(node, ast.Subscript):
    node = node.value
  return node


def _callee(node: ast.expr) -> str | None:
  """The dotted name of a decorator, called or not."""
  return dotted(node.func if isinstance(node, ast.Call) else node)


def _body(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
  """Yields the statements of a class body, also those under if and try."""
  for statement in statements:
    yield statement
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
      for block in blocks(statement):
        yield from _body(block)


def _is_accessor(node: Function) -> bool:
  """Whether it is the setter or deleter of a property, which must not hide the getter."""
  return any(isinstance(item, ast.Attribute) and item.attr in ('setter', 'deleter')
             for item in node.decorator_list)


def _own_fields(owner: SourceClass) -> Iterator[Field]:
  keyword_only = _flag(owner.node.keywords, 'kw_only') or any(
    isinstance(item, ast.Call) and _flag(item.keywords, 'kw_only') for item in owner.node.decorator_list)
  for node in _body(owner.node.body):
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
      continue
    kind = annotation_name(owner, node.annotation)
    if kind == 'dataclasses.KW_ONLY':
      keyword_only = True
    elif kind not in _CLASS_VARIABLES and node.target.id not in _LINEN_OWN_FIELDS:
      yield _field(owner, node, node.target.id, keyword_only)


def annotation_name(owner: SourceClass, node: ast.expr) -> str | None:
  """Returns the resolved head of an annotation, 'typing.ClassVar' of `ClassVar[int]`, quoted or not."""
  text: str | None
  if isinstance(node, ast.Constant) and isinstance(node.value, str):
    text = node.value.partition('[')[0].strip()
  else:
    text = dotted(node.value if isinstance(node, ast.Subscript) else node)
  return owner.project.resolve(owner.module, text, owner.node)


def _field(owner: SourceClass, node: ast.AnnAssign, name: str, keyword_only: bool) -> Field:
  value = node.value
  if not (isinstance(value, ast.Call)
          and owner.project.resolve(owner.module, dotted(value.func), owner.node) in _FIELD_MAKERS):
    return Field(name, node.annotation, value, False, keyword_only, owner, node)
  given = {keyword.arg: keyword.value for keyword in value.keywords}
  factory = 'default' not in given and 'default_factory' in given
  default = given.get('default_factory' if factory else 'default')
  return Field(name, node.annotation, default, factory, _flag(value.keywords, 'kw_only', keyword_only), owner,
               node, _flag(value.keywords, 'init', True))


def _flag(keywords: list[ast.keyword], name: str, default: bool = False) -> bool:
  """Returns the literal value of the keyword `name`."""
  for keyword in keywords:
    if keyword.arg == name and isinstance(keyword.value, ast.Constant):
      return bool(keyword.value.value)
  return default


def _mro(start: SourceClass, above: tuple[SourceClass, ...]) -> tuple[SourceClass, ...]:
  """C3 over the project classes; a circle of bases is cut where it closes."""
  path = (*above, start)
  found = dict.fromkeys(start.project.find_class(base) for base in start.bases)
  parents = [parent for parent in found if parent is not None and parent not in path]
  lists = [list(_mro(parent, path)) for parent in parents]
  merged = _merge([*lists, parents])
  if merged is None:
    merged = list(dict.fromkeys(item for items in lists for item in items))
  return (start, *(item for item in merged if item is not start))


def _merge(lists: list[list[SourceClass]]) -> list[SourceClass] | None:
  """The merge step of C3; None when no order fits."""
  merged: list[SourceClass] = []
  while any(lists):
    heads = [items[0] for items in lists if items]
    head = next((item for item in heads if not any(item in items[1:] for items in lists)), None)
    if head is None:
      return None
    merged.append(head)
    lists = [[item for item in items if item is not head] for items in lists]
  return merged
