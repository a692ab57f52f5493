"""Finds the places outside of native classes that mention a native class."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from migrator.source.names import dotted
from migrator.source.uses import written_names
from rewrites.bridge import AS_LINEN
from rewrites.registry import layer_for

from ..plan import ClassPlan

_PARTIAL = ('functools.partial', 'jax.tree_util.Partial')


@dataclasses.dataclass(frozen=True)
class Reference:
  """One mention of a native class.

  node: the name or attribute chain that means the class, or a partial of it.
  plan: the class; parents: the nodes around it, innermost first; member: the attribute read from the class.
  """

  node: ast.expr
  plan: ClassPlan
  parents: tuple[ast.AST, ...]
  member: str | None = None

  @property
  def statement(self) -> ast.stmt:
    return next(node for node in self.parents if isinstance(node, ast.stmt))


class ModuleReferences:
  """Reads one module for mentions of the native classes in `plans`."""

  def __init__(self, project: Any, module: Any, plans: Mapping[str, ClassPlan]) -> None:
    self.project = project
    self.module = module
    self.plans = {name: plan for name, plan in plans.items() if plan.native}
    file = project.index.files.get(module.name)
    self.words: frozenset[bytes] | None = None if file is None else frozenset(file.words)
    self.wanted: frozenset[bytes] | None = None
    self.native = {
      node
      for plan in self.plans.values()
      if plan.source.module is module
      for node in module.nodes.walk(plan.source.node)
    }
    self._meanings: dict[str, tuple[ClassPlan, str | None] | None] = {}

  @property
  def scopes(self) -> dict[ast.Name | ast.Attribute, Any]:
    return _read(self.module)[0]

  def mentions(self, *names: str) -> bool:
    """Tells whether the text may hold one of the names; asked before the names are resolved."""
    return self.words is None or any(name.encode() in self.words for name in names)

  def all(self) -> Iterator[Reference]:
    """Yields the mentions outside of native classes and annotations, in text order."""
    return iter(self._all)

  @functools.cached_property
  def _all(self) -> tuple[Reference, ...]:
    return tuple(self._found())

  def _found(self) -> Iterator[Reference]:
    if not self.plans or (
      self.words is not None and self.wanted is not None and self.wanted.isdisjoint(self.words)
    ):
      return
    for node in self.scopes:
      if node in self.native or node not in self.module.nodes:
        continue
      reference = self._reference(node)
      if reference is not None and not self._in_annotation(reference):
        yield reference

  def meaning(self, node: ast.AST) -> tuple[ClassPlan, str | None] | None:
    """Returns the native class that an expression means, directly or by a partial with a name, and a member of it."""
    text = self._resolved(node)
    if text is None or ':' not in text:
      return None
    if text not in self._meanings:
      self._meanings[text] = self._meaning(text)
    return self._meanings[text]

  def _meaning(self, text: str) -> tuple[ClassPlan, str | None] | None:
    plan = self.plans.get(text)
    if plan is not None:
      return plan, None
    owner, _, member = text.rpartition('.')
    if owner in self.plans:
      return self.plans[owner], member
    found = partial_target(self.project, text, self.plans)
    return None if found is None else (found, None)

  def _resolved(self, node: ast.AST) -> str | None:
    return meaning_of(self.project, self.module, node)

  def _reference(self, node: ast.expr) -> Reference | None:
    found = self.meaning(node)
    if found is None:
      return None
    plan, member = found
    around = self.around(node)
    if member is not None and isinstance(node, ast.Attribute):
      return Reference(node.value, plan, (node, *around), member)
    return Reference(node, plan, around, member)

  def around(self, node: ast.AST) -> tuple[ast.AST, ...]:
    return self.module.nodes.around(node)

  def _in_annotation(self, reference: Reference) -> bool:
    child: ast.AST = reference.node
    for parent in reference.parents:
      if isinstance(parent, ast.arg) or isinstance(parent, ast.AnnAssign) and child is parent.annotation:
        return True
      if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)) and child is parent.returns:
        return True
      child = parent
    return False

  def is_partial(self, node: ast.AST) -> bool:
    """Tells whether a node is `functools.partial(...)`."""
    return isinstance(node, ast.Call) and self._resolved(node.func) in _PARTIAL

  def made(self, node: ast.AST) -> ClassPlan | None:
    """Returns the native class that a call constructs, or makes a partial of."""
    if not isinstance(node, ast.Call):
      return None
    head = node.args[0] if self.is_partial(node) and node.args else node.func
    found = self.meaning(head)
    return found[0] if found is not None and found[1] is None else None

  # -- questions about names ----------------------------------------------------------------------

  def meaning_of_name(self, name: str) -> ClassPlan | None:
    """Returns the native class that a module-level name means."""
    entity = self.project.resolver.resolve(self.module, name, None)
    text = None if entity is None else entity.text
    return self.plans.get(text or '') or (partial_target(self.project, text, self.plans) if text else None)

  def resolved(self, node: ast.AST) -> str | None:
    """Returns what a name or attribute chain means."""
    return self._resolved(node)

  def calls(self) -> Iterator[ast.Call]:
    return (
      (node for node in self.module.nodes.order if isinstance(node, ast.Call))
      if self.mentions('getattr')
      else iter(())
    )

  def reads(self, name: str, native: bool) -> bool:
    """Tells whether native classes (or other code) of this module read the module-level thing 'module:NAME'."""
    short = name.rpartition(':')[2]
    if not self.mentions(short):
      return False
    candidates = [
      node for node in self.scopes if (node.id if isinstance(node, ast.Name) else node.attr) == short
    ]
    return any((node in self.native) is native and self._resolved(node) == name for node in candidates)

  def makes_module(self, node: ast.AST) -> bool:
    """Tells whether an expression is a Linen layer or class, or makes a module of a native class."""
    if isinstance(node, ast.Call):
      if (self._resolved(node.func) or '').endswith(f':{AS_LINEN.name}'):
        return True
      return not self.is_partial(node) and self.made(node) is not None
    if not isinstance(node, (ast.Name, ast.Attribute)):
      return False
    text = self._resolved(node) or ''
    found = self.project.classes.get(text)
    if found is not None:
      return bool(found.is_linen) and text not in self.plans
    renamed = bool(self.native) and isinstance(self.module.nodes.parent(node), (ast.keyword, ast.Call))
    return layer_for(text) is not None and not (renamed and not self._is_called(node))

  def _is_called(self, node: ast.AST) -> bool:
    parent = self.module.nodes.parent(node)
    return isinstance(parent, ast.Call) and (
      parent.func is node or self.is_partial(parent) and parent.args[0] is node
    )

  def reachable(self, module: Any) -> Iterator[ClassPlan]:
    """Yields the native classes that have a name in `module`."""
    for name in module.bindings:
      entity = self.project.resolver.resolve(module, name, None)
      text = '' if entity is None else entity.text
      plan = self.plans.get(text) or (partial_target(self.project, text, self.plans) if ':' in text else None)
      if plan is not None:
        yield plan


_Read = tuple[dict[ast.Name | ast.Attribute, Any], dict[ast.AST, str | None]]
_READ: weakref.WeakKeyDictionary[Any, _Read] = weakref.WeakKeyDictionary()


def _read(module: Any) -> _Read:
  """Returns what does not depend on the plans, which are made several times.

  The scope of every name that is read, in text order, and a memory for what names mean.
  """
  if module not in _READ:
    scopes = {
      node: scope for node, scope in written_names(module) if isinstance(node, (ast.Name, ast.Attribute))
    }
    ordered = sorted(scopes, key=lambda node: (node.lineno, node.col_offset))
    _READ[module] = {node: scopes[node] for node in ordered}, {}
  return _READ[module]


def scopes_of(module: Any) -> dict[ast.Name | ast.Attribute, Any]:
  """Returns the scope of every name or dotted chain that a module reads, in text order."""
  return _read(module)[0]


def meaning_of(project: Any, module: Any, node: ast.AST) -> str | None:
  """Returns what a name or dotted chain of a module means; each is settled once."""
  scopes, texts = _read(module)
  if node not in texts:
    text = dotted(node)
    scope = scopes.get(node) if isinstance(node, ast.Name | ast.Attribute) else None
    entity = None if text is None else project.resolver.resolve(module, text, scope)
    texts[node] = None if entity is None else entity.text
  return texts[node]


def read_references(project: Any, plans: Mapping[str, ClassPlan]) -> dict[str, ModuleReferences]:
  """Returns the reader of mentions of every module of the project."""
  homes = {plan.source.module.name for plan in plans.values() if plan.native}
  modules = {**project.modules, **looking_up(project, homes)}
  found = {name: ModuleReferences(project, module, plans) for name, module in sorted(modules.items())}
  wanted = frozenset(_names_for(found.values(), plans))
  for references in found.values():
    references.wanted = wanted
  return found


def _names_for(modules: Iterable[ModuleReferences], plans: Mapping[str, ClassPlan]) -> set[bytes]:
  """Returns the names of the native classes, and of what is assigned from them in modules or imported under another name."""
  names = {re.split('[:.]', name)[-1] for name, plan in plans.items() if plan.native}
  while True:
    before = len(names)
    for references in modules:
      if references.mentions(*names):
        names |= _other_names(references.module.tree, names)
    if len(names) == before:
      return {name.encode() for name in names}


def _other_names(tree: ast.Module, names: set[str]) -> set[str]:
  found = set()
  for node in tree.body:
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
      read = {
        child.id if isinstance(child, ast.Name) else getattr(child, 'attr', '')
        for child in ast.walk(node.value)
      }
      targets = node.targets if isinstance(node, ast.Assign) else [node.target]
      found |= {target.id for target in targets if isinstance(target, ast.Name) and read & names}
    elif isinstance(node, ast.ImportFrom):
      found |= {alias.asname for alias in node.names if alias.name in names and alias.asname}
  return found


@functools.cache
def _looked_through(data: bytes) -> frozenset[bytes]:
  """Returns the last names of what a file gives to `getattr`."""
  return frozenset(re.findall(rb'\bgetattr\(\s*(?:[\w.]*\.)?(\w+)\s*,', data))


def looking_up(project: Any, modules: Iterable[str]) -> dict[str, Any]:
  """Returns further modules that may look classes up by name: they mention `getattr` and one of the modules."""
  homes = {name.rpartition('.')[2].encode() for name in modules}
  names = [
    name
    for name, file in project.index.files.items()
    if name not in project.modules
    and b'getattr' in file.words
    and not homes.isdisjoint(_looked_through(file.data))
  ]
  found = {name: project.module(name) for name in names}
  return {name: module for name, module in found.items() if module is not None}


def partial_target(project: Any, name: str, plans: Mapping[str, ClassPlan]) -> ClassPlan | None:
  """Returns the class that the module-level name `name` is a partial of."""
  for _ in range(8):
    found = project.assignment(name)
    if found is None:
      return None
    module, value = found
    if not (
      isinstance(value, ast.Call) and value.args and project.resolve_node(module, value.func) in _PARTIAL
    ):
      return None
    name = project.resolve_node(module, value.args[0]) or ''
    if name in plans:
      return plans[name]
  return None
