"""Sizes that nothing in the source tells: the constructor asks its caller for them."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable
from typing import Any

from migrator.manifest import SizeArgument
from migrator.shapes.values import Unknown
from rewrites.record import Facts, Layer

from .loops import LOOPS, bound, loops_of
from .names_in import read, stored, targets
from .plan import ClassPlan, Member
from .sizes import NotStatic, SizeWriter

# More axes than any array of a layer: a record picks one of them by counting from the end.
_AXES = 6


@dataclasses.dataclass(frozen=True)
class Asked:
  """One axis, counted from the end, of an array whose shape is not known.

  source: the method and the variable that holds the array, if it holds nothing else; else None.
  """

  argument: str
  axis: int
  source: Any = dataclasses.field(default=None, compare=False)


def unseen(record: Layer, facts: Facts, creation: Any) -> Facts | None:
  """Returns the facts of a layer with a stand-in for each array whose shape is not known; None if all are known."""
  names = [row.linen for row in record.call if row.linen not in ('*args', '**kwargs')]
  uses = [use for use in creation.uses if use.method == '__call__']
  if not uses:
    known = len(record.sizes) == 1 and bool(names)
    return dataclasses.replace(facts, shapes={names[0]: _axes(names[0], None)}) if known else None
  node = uses[0].node
  given = {**dict(zip(names, uses[0].args)), **uses[0].kwargs}
  written = {**dict(zip(names, node.args)), **{item.arg: item.value for item in node.keywords}}
  missing = {
    name: _axes(name, _variable(written.get(name), uses[0].inside))
    for name, value in given.items()
    if isinstance(value, Unknown) and name in names and name not in facts.shapes
  }
  return dataclasses.replace(facts, shapes={**facts.shapes, **missing}) if missing else None


def _variable(node: ast.AST | None, method: ast.AST) -> tuple[int, str] | None:
  if not isinstance(node, ast.Name):
    return None
  stores = sum(node.id in targets(child) for child in ast.walk(method))
  return (id(method), node.id) if stores <= 1 else None


def _axes(argument: str, source: Any) -> tuple[Asked, ...]:
  return tuple(Asked(argument, axis, source) for axis in range(-_AXES, 0))


class AskedSizes:
  """The sizes that one class asks for, by name of the constructor argument."""

  def __init__(self, plan: ClassPlan) -> None:
    self.plan = plan
    self.found: dict[str, SizeArgument] = {}
    self.places: dict[tuple[Any, ...], str] = {}

  def possible(self, member: Member) -> bool:
    """One argument tells one size: a member may stand for several modules only if nothing tells them apart."""
    owner = outermost(member)
    if not owner.attribute or member.creation.partials and member.creation.kind == 'param':
      return False
    repeated = member.listed or owner.listed or bool(loops_of(member.creation.path))
    return not repeated or self._alike(member)

  def _alike(self, member: Member) -> bool:
    """Modules made in a loop with the same arguments, and called without a variable of a loop."""
    counters = {name for loop in loops_of(member.creation.path) for name in _variables(loop)}
    node = member.creation.node
    given = [*node.args, *(item.value for item in node.keywords if item.arg not in ('name', 'parent'))]
    if any(read(item) & counters for item in given):
      return False
    methods = [method.node for method in self.plan.source.methods.values()]
    loops = [item for method in methods for item in ast.walk(method) if isinstance(item, LOOPS)]
    for use in member.creation.uses:
      around = [loop for loop in loops if any(child is use.node for child in ast.walk(loop))]
      varying = {name for loop in around for name in _variables(loop)}
      if any(read(item) & varying for item in (*use.node.args, *(item.value for item in use.node.keywords))):
        return False
    return True

  def text(
    self, member: Member, role: str, dim: Any, size_text: Callable[[Any], str], sizes: SizeWriter
  ) -> str:
    """Returns a size as source text; one that cannot be written is asked for.

    size_text writes it with `sizes`.

    Raises:
      Refused, NotStatic: the member stands for several modules, so that one size would not do.
    """
    if not isinstance(dim, Asked):
      before = dict(sizes.needed), dict(sizes.carried), dict(sizes.locals)
      try:
        return size_text(dim)
      except NotStatic:
        if not self.possible(member):
          raise
        sizes.needed, sizes.carried, sizes.locals = before
    return self.name(member, role, dim)

  def name(self, member: Member, role: str, dim: Any = None) -> str:
    """Returns the constructor argument for a size of a member, such as `linear1_in_features`."""
    source = getattr(dim, 'source', None)
    key = (source, dim.axis) if source is not None else (id(member.creation), role)
    if key not in self.places:
      name = f'{self._stem(member)}_{role}'
      taken = set(self.plan.source.fields) | set(self.places.values())
      while name in taken:
        name = f'own_{name}'
      self.places[key] = name
    name = self.places[key]
    if loops_of(member.creation.path):
      note = f'all modules in {outermost(member).attribute} have the same {role} (line {member.creation.line})'
      if note not in self.plan.assumptions:
        self.plan.assumptions.append(note)
    conditional = any(isinstance(node, (ast.If, ast.IfExp)) for node, _ in member.creation.path)
    optional = conditional and (name not in self.found or self.found[name].optional)
    self.found[name] = SizeArgument(name, optional=optional)
    return name

  def _stem(self, member: Member) -> str:
    owner = outermost(member)
    if owner is member and member.container is None:
      return member.attribute
    beside = [item for item in self.plan.members if outermost(item).attribute == owner.attribute]
    beside = [item for item in beside if item.inside is not None or item.container is not None]
    return f'{owner.attribute}{beside.index(member) if member in beside and len(beside) > 1 else ""}'


def outermost(member: Member) -> Member:
  """Returns the member whose constructor call holds the creation, however deep."""
  while member.inside is not None:
    member = member.inside
  return member


def _variables(loop: ast.AST) -> set[str]:
  """Returns what a loop or a comprehension binds anew in every turn."""
  if isinstance(loop, ast.While):
    return set()
  return stored(loop.target) if isinstance(loop, ast.For) else bound(loop)
