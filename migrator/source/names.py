"""Following a name to the thing it means, across scopes, modules, re-exports and aliases."""
from __future__ import annotations

import ast
import builtins
import dataclasses
from typing import Literal, Protocol

from migrator.source.bindings import Binding
from migrator.source.flax_names import LINEN_EXPORTS, canonical
from migrator.source.modules import Scope, SourceModule

_BUILTINS = frozenset(dir(builtins))


@dataclasses.dataclass(frozen=True)
class Entity:
  """What a name means: a module or package of the project, a thing defined in one, or something outside.

  module: dotted module name ('module', 'object'), or the whole dotted name ('external').
  path: place inside the module ('object'), else ''.
  """

  kind: Literal['module', 'object', 'external']
  module: str
  path: str = ''

  @property
  def text(self) -> str:
    if self.kind == 'object':
      return f'{self.module}:{self.path}'
    return canonical(self.module) if self.kind == 'external' else self.module


class Modules(Protocol):
  """Where modules come from; the project."""

  def find_module(self, name: str, importer: SourceModule | None = None) -> str | None:
    """Returns the project's name of the module (or namespace package) imported as `name`, or None."""

  def may_define(self, module: str, name: str) -> bool:
    """Returns whether the text of `module` leaves it possible that it offers `name`; False is certain."""

  def module(self, name: str) -> SourceModule | None:
    """Returns the module called `name`, reading it if need be; None for namespace packages and others."""


Seen = frozenset[tuple[object, str]]


class Resolver:
  """Resolves dotted names; holds no state but a cache, so that order never matters."""

  def __init__(self, modules: Modules):
    self._modules = modules
    self._cache: dict[tuple[str, str], Entity | None] = {}
    self._cuts = 0

  def resolve(self, module: SourceModule, text: str, scope: Scope | None = None) -> Entity | None:
    """Returns what the dotted `text` means inside `scope` of `module`, or None if that is not known."""
    return self._resolve(module, text, scope, frozenset())

  def imported(self, module: SourceModule, text: str, attribute: str | None = None) -> Entity | None:
    """Returns what `import text`, or `from text import attribute`, brings into `module`."""
    target = self._imported(module, text)
    return target if target is None or attribute is None else self._attribute(target, attribute, frozenset())

  def _resolve(self, module: SourceModule, text: str, scope: Scope | None, seen: Seen) -> Entity | None:
    head, *rest = text.split('.')
    entity = self._head(module, head, scope, seen)
    for name in rest:
      if entity is None:
        return None
      entity = self._attribute(entity, name, seen)
    return entity

  def _head(self, module: SourceModule, name: str, scope: Scope | None, seen: Seen) -> Entity | None:
    binding, where = find_binding(name, scope)
    if binding is not None:
      return self._binding(module, binding, where, seen)
    found = self.member(module, name, seen)
    if found is not None or name in module.bindings or name not in _BUILTINS:
      return found
    return None if self._unknown_stars(module) else Entity('external', f'builtins.{name}')

  def _attribute(self, entity: Entity, name: str, seen: Seen) -> Entity | None:
    if entity.kind == 'external':
      return Entity('external', f'{entity.module}.{name}')
    if entity.kind == 'object':
      return self._object_attribute(entity, name)
    module = self._modules.module(entity.module)
    found = self.member(module, name, seen) if module is not None else None
    return found or self._submodule(entity.module, name)

  def _object_attribute(self, entity: Entity, name: str) -> Entity:
    return Entity('object', entity.module, f'{entity.path}.{name}')

  def _submodule(self, package: str, name: str) -> Entity | None:
    found = self._modules.find_module(f'{package}.{name}')
    return None if found is None else Entity('module', found)

  def member(self, module: SourceModule, name: str, seen: Seen = frozenset()) -> Entity | None:
    """Returns what the module-level `name` of `module` means; None if unbound or unknown."""
    key = (module.name, name)
    if key in self._cache:
      return self._cache[key]
    if key in seen:
      self._cuts += 1
      return None
    before = self._cuts
    found = self._member(module, name, seen | {key})
    # An answer found while a circle was cut open holds only inside that circle.
    if not seen or self._cuts == before:
      self._cache[key] = found
    return found

  def _member(self, module: SourceModule, name: str, seen: Seen) -> Entity | None:
    binding = module.bindings.get(name)
    if binding is not None:
      return self._binding(module, binding, None, seen)
    # Later star imports overwrite earlier ones.
    for star in reversed(module.stars):
      found = self._from_star(module, star, name, seen)
      if found is not None:
        return found
    return None

  def _from_star(self, module: SourceModule, star: str, name: str, seen: Seen) -> Entity | None:
    target = self._imported(module, star)
    if target is None:
      return None
    if target.kind == 'external':
      known = canonical(target.module) == 'flax.linen' and name in LINEN_EXPORTS
      return Entity('external', f'flax.linen.{name}') if known else None
    source = self._modules.module(target.module) if self._modules.may_define(target.module, name) else None
    return self.member(source, name, seen) if source is not None and source.is_public(name) else None

  def _unknown_stars(self, module: SourceModule) -> bool:
    """Whether a star import brings names that cannot be listed, so that even builtins may be hidden."""
    targets = [self._imported(module, star) for star in module.stars]
    return any(target is None or (target.kind == 'external' and canonical(target.module) != 'flax.linen')
               for target in targets)

  def _binding(self, module: SourceModule, binding: Binding, scope: Scope | None,
               seen: Seen) -> Entity | None:
    if binding.kind == 'import':
      return self._import(module, binding, seen)
    if binding.kind in ('class', 'function') and binding.node is not None:
      return Entity('object', module.name, module.definitions.places[binding.node])
    if binding.kind == 'outer':
      return self.member(module, binding.name, seen)
    if binding.kind == 'parameter':
      return None
    return self._value(module, binding, scope, seen)

  def _import(self, module: SourceModule, binding: Binding, seen: Seen) -> Entity | None:
    for one in (binding, *(other for other in binding.others if other.kind == 'import')):
      target = self._imported(module, one.module or '')
      if target is not None and one.attribute is not None:
        # A package that imports its own submodule under the same name comes back to itself here.
        target = self._attribute(target, one.attribute, seen)
      if target is not None:
        return target
    return None

  def _imported(self, module: SourceModule, text: str) -> Entity | None:
    """Returns the module meant by an import of `text` (leading dots count) inside `module`."""
    name = absolute_name(text, module)
    if name is None:
      return None
    found = self._modules.find_module(name, None if text.startswith('.') else module)
    return Entity('external', name) if found is None else Entity('module', found)

  def _value(self, module: SourceModule, binding: Binding, scope: Scope | None, seen: Seen) -> Entity | None:
    """Follows `Dense = nn.Dense`; other values are things of the module, local ones are not known."""
    found = self._alias(module, binding, scope, seen)
    if found is None and scope is None:
      return Entity('object', module.name, binding.name)
    return found

  def _alias(self, module: SourceModule, binding: Binding, scope: Scope | None, seen: Seen) -> Entity | None:
    text = dotted(binding.node)
    key = (scope or module.name, f'={binding.name}')
    if text is None:
      return None
    if key in seen:
      self._cuts += 1
      return None
    head, *rest = text.split('.')
    if head == binding.name:
      # `nn = nn.module`: the right side means what the name was bound to before.
      before = next((item for item in binding.others if item.kind != 'value'), None)
      entity = None if before is None else self._binding(module, before, scope, seen | {key})
      for name in rest:
        entity = entity and self._attribute(entity, name, seen)
      return entity
    if scope is not None and binding.others:
      return None
    return self._resolve(module, text, scope, seen | {key})


def find_binding(name: str, scope: Scope | None) -> tuple[Binding | None, Scope | None]:
  """Looks `name` up from `scope` outwards, without the module; class bodies only from directly inside."""
  inner = scope
  while scope is not None:
    if scope is inner or not scope.is_class:
      binding = scope.bindings.get(name)
      if binding is not None:
        return binding, scope
    scope = scope.parent
  return None, None


def absolute_name(text: str, module: SourceModule) -> str | None:
  """Turns '..blocks' into 'zoo.blocks' as seen from `module`; None when the dots lead out of the project."""
  name = text.lstrip('.')
  return resolve_dots(text[:len(text) - len(name)], name, module.package)


def resolve_dots(dots: str, name: str, package: str) -> str | None:
  """Returns the absolute name of `name` behind `dots` in a module of `package`; None when outside."""
  if not dots:
    return name
  parts = package.split('.') if package else []
  up = len(dots) - 1
  if up > len(parts):
    return None
  return '.'.join([*parts[:len(parts) - up], *([name] if name else [])]) or None


def dotted(node: ast.AST | None) -> str | None:
  """Returns 'a.b.c' for a name or a chain of attributes, else None."""
  parts: list[str] = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  if not isinstance(node, ast.Name):
    return None
  return '.'.join([node.id, *reversed(parts)])
