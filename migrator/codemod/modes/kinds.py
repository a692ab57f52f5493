"""Which modules an expression of a written class may be: layers, classes that were migrated, classes that were not."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from migrator.shapes.values import Instance

from ..plan import Member
from .flags import ATTRIBUTES
from .texts import Written

_LOOSE = frozenset({'next', 'iter', 'zip', 'enumerate', 'reversed', 'list', 'tuple', 'sorted', 'List', 'Dict', 'dict'})
_VIEWS = frozenset({'values', 'items', 'copy'})


@dataclasses.dataclass(frozen=True)
class Kind:
  """A class that was migrated, by name; or a layer, by the member that makes it; else something of Linen."""

  name: str = ''
  member: Member | None = None

  @property
  def mode(self) -> str | None:
    """Returns the argument of a layer that says whether it trains; None where there is none."""
    record = self.member.record if self.member is not None else None
    rows = record.arguments if record is not None else ()
    return next((row.nnx for row in rows if row.nnx in ATTRIBUTES and row.on_call == row.nnx), None)

  def position(self) -> int | None:
    """Returns the place of that argument in a call; None where it goes by name only."""
    assert self.member is not None and self.member.record is not None
    rows = self.member.record.call
    place = next((k for k, row in enumerate(rows) if row.nnx == self.mode), None)
    return None if place is None or rows[place].keyword else place


Kinds = frozenset[Kind]
NONE: Kinds = frozenset()


class Modules:
  """What the attributes of all written classes hold.

  classes: the written classes; handed: names of classes that are given away as values; wanted: those that matter.
  """

  def __init__(self, project: Any, classes: Mapping[str, Written], handed: Collection[str]) -> None:
    self.project = project
    self.classes = classes
    self.handed = frozenset(Kind(name) for name in handed)
    self.below: dict[str, set[str]] = {name: {name} for name in classes}
    for name, found in classes.items():
      for base in found.plan.source.mro[1:]:
        if base.name in self.below:
          self.below[base.name].add(name)
    self.attributes: dict[str, dict[str, Kinds]] = {name: {} for name in classes}
    self.outside: set[str] = set()  # classes whose instances also come in from elsewhere
    for name in classes:
      self._members(name)
    for _ in range(3):
      for name in classes:
        self._constructor(name)

  def mro(self, name: str) -> list[str]:
    return [base.name for base in self.classes[name].plan.source.mro if base.name in self.classes]

  def related(self, name: str) -> set[str]:
    """Returns the class, its bases and its subclasses: those whose attributes its methods may read."""
    return {*self.mro(name), *self.below[name]}

  def attribute(self, name: str, attribute: str) -> Kinds:
    return NONE.union(*(self.attributes[other].get(attribute, NONE) for other in self.related(name)))

  def methods(self, name: str, method: str) -> list[Written]:
    """Returns the classes whose method of this name a call on an instance may run."""
    first = next((other for other in self.mro(name) if method in self.classes[other].methods), None)
    found = {first, *(other for other in self.below[name] if method in self.classes[other].methods)}
    return [self.classes[other] for other in sorted(filter(None, found))]

  def made(self, name: str, node: ast.AST) -> str | None:
    """Returns the migrated class that an expression of a class means."""
    source = self.classes[name].plan.source
    if not isinstance(node, (ast.Name, ast.Attribute)):
      return None
    found = source.project.resolve(source.module, ast.unparse(node))
    return found if found in self.classes else None

  def _add(self, name: str, attribute: str, kinds: Iterable[Kind]) -> None:
    self.attributes[name][attribute] = self.attributes[name].get(attribute, NONE) | frozenset(kinds)

  def _members(self, name: str) -> None:
    plan = self.classes[name].plan
    for member in plan.members:
      kinds = {kind_of(item) for item in (member, *member.alternatives) if item.creation.kind in ('layer', 'class')}
      if (member.creation.factory or '').startswith('field:') and member.child is not None:
        kinds |= self.handed
      if member.inside is None:
        self._add(name, member.attribute, kinds)
      elif member.inside.child is not None and len(member.slot) == 1:
        owner = member.inside.child.name
        if owner in self.classes:
          self._add(owner, member.slot[0], kinds)
          continue
      if member.inside is not None:
        self.outside |= {kind.name for kind in kinds}
    for field, value in plan.analysis.subject.fields.items():
      if isinstance(value, Instance) and value.source is not None and value.creation is None:
        if value.source.name in self.classes:
          self.outside.add(value.source.name)
          self._add(name, field, {Kind(value.source.name)})

  def _constructor(self, name: str) -> None:
    method = self.classes[name].methods.get('__init__')
    if method is None:
      return
    scope = Scope(self, name, method)
    for node in ast.walk(method):
      targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, 'target', None)]
      for target in targets:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and is_own(target, scope.receiver):
          if node.value is not None and (kinds := scope.kinds(node.value)):
            self._add(name, target.attr, kinds)  # type: ignore[union-attr]


def kind_of(member: Member) -> Kind:
  if member.stays is not None:
    return Kind()
  if member.child is not None:
    return Kind(member.child.name)
  return Kind(member=member)


def is_own(node: ast.AST | None, receiver: str) -> bool:
  """Tells whether an expression is `self.something`."""
  return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == receiver


class Scope:
  """The variables of one method and the modules they may hold."""

  def __init__(self, modules: Modules, owner: str, method: ast.FunctionDef) -> None:
    self.modules = modules
    self.owner = owner
    self.method = method
    arguments = [*method.args.posonlyargs, *method.args.args]
    self.receiver = arguments[0].arg if arguments else ''
    self.variables: dict[str, Kinds] = {}
    while self._read():
      pass

  def kinds(self, node: ast.AST | None) -> Kinds:
    """Returns the modules an expression may be, or may hold."""
    if isinstance(node, ast.Name):
      return self.variables.get(node.id, NONE)
    if isinstance(node, ast.Attribute):
      if is_own(node, self.receiver):
        return self.modules.attribute(self.owner, node.attr)
      inner = [kind.name for kind in self.kinds(node.value) if kind.name]
      return NONE.union(*(self.modules.attribute(name, node.attr) for name in inner))
    if isinstance(node, (ast.Subscript, ast.Starred, ast.NamedExpr)):
      return self.kinds(node.value)
    if isinstance(node, ast.Call):
      return self._call(node)
    if isinstance(node, ast.IfExp):
      return self.kinds(node.body) | self.kinds(node.orelse)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
      return NONE.union(*map(self.kinds, node.elts))
    if isinstance(node, ast.Dict):
      return NONE.union(*map(self.kinds, node.values))
    if isinstance(node, ast.BoolOp):
      return NONE.union(*map(self.kinds, node.values))
    if isinstance(node, ast.BinOp):
      return self.kinds(node.left) | self.kinds(node.right)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
      return self.kinds(node.elt)
    return self.kinds(node.value) if isinstance(node, ast.DictComp) else NONE

  def _call(self, node: ast.Call) -> Kinds:
    function = node.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, 'attr', '')
    if name in _LOOSE:
      return NONE.union(*map(self.kinds, node.args))
    if name in _VIEWS and isinstance(function, ast.Attribute):
      return self.kinds(function.value)
    made = self.modules.made(self.owner, function) if self.method.name == '__init__' else None
    return frozenset({Kind(made)}) if made is not None else NONE

  def _read(self) -> bool:
    before = dict(self.variables)
    for node in ast.walk(self.method):
      if isinstance(node, ast.Assign):
        for target in node.targets:
          self._bind(target, node.value)
      elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.AugAssign)):
        self._bind(node.target, node.value)
      elif isinstance(node, (ast.For, ast.comprehension)):
        self._loop(node.target, node.iter)
      elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in ('append', 'insert', 'extend'):
          self._hold(node.func.value, self.kinds(node.args[-1]))
    return before != self.variables

  def _hold(self, target: ast.AST, kinds: Kinds) -> None:
    while isinstance(target, (ast.Subscript, ast.Starred)):
      target = target.value
    if isinstance(target, ast.Name) and kinds:
      self.variables[target.id] = self.variables.get(target.id, NONE) | kinds

  def _bind(self, target: ast.AST, value: ast.AST | None) -> None:
    if isinstance(target, (ast.Tuple, ast.List)):
      same = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
      for place, item in enumerate(target.elts):
        self._bind(item, value.elts[place] if same else value)  # type: ignore[union-attr]
      return
    self._hold(target, self.kinds(value))

  def _loop(self, target: ast.AST, source: ast.AST) -> None:
    name = getattr(source.func, 'id', '') if isinstance(source, ast.Call) else ''
    parts: list[ast.expr] | None = None
    if isinstance(source, ast.Call) and name == 'zip' and not source.keywords:
      parts = source.args
    elif isinstance(source, ast.Call) and name == 'enumerate' and source.args:
      parts = [ast.Constant(0), source.args[0]]
    elif isinstance(source, ast.Call) and getattr(source.func, 'attr', '') == 'items':
      parts = [ast.Constant(0), source]
    if parts is not None and isinstance(target, ast.Tuple) and len(target.elts) == len(parts):
      for item, part in zip(target.elts, parts, strict=True):
        self._loop(item, part) if isinstance(part, ast.Call) and part is not source else self._bind(item, part)
      return
    self._bind(target, source)
