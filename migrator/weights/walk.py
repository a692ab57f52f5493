"""Walks a class's construction program against a tree: which node of one side is which of the other.

The program is read like a pattern: loops may run any number of times and branches
may take any side, and the reading that uses every leaf wins.  The same walk serves
both directions; the side that is given decides what is present.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from migrator.manifest import Branch, ClassMap, Leaf, Loop, Manifest, Member, Shared, Submodule
from migrator.weights import layer_rules, names
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import NnxPath, show
from migrator.weights.trees import LinenTree, NnxTree, text
from migrator.weights.walk_state import HOLE, WRONG, Outcome, Path, Placed, State, cheapest, merge

if TYPE_CHECKING:
  from rewrites.record import Layer

LayerFor: TypeAlias = 'Callable[[str], Layer | None]'
DEEPEST = 200


@dataclasses.dataclass(frozen=True)
class Scope:
  """A module being read: its Linen path, its NNX path, its class."""

  linen: Path
  nnx: NnxPath
  entry: ClassMap


class Walk:
  """One walk over a manifest and the trees that are known (at least one of them)."""

  def __init__(self, manifest: Manifest, layer_for: LayerFor, linen: LinenTree | None, nnx: NnxTree | None):
    self.manifest, self.layer_for, self.linen, self.nnx = manifest, layer_for, linen, nnx
    self._seen: dict[tuple[str, Path, NnxPath], Outcome] = {}
    self._empty: dict[str, bool] = {}

  def module(self, class_name: str, linen: Path = (), nnx: NnxPath = ()) -> Outcome:
    """Returns the best reading of the class for the module at these paths."""
    key = (class_name, linen, nnx)
    if key not in self._seen:
      if len(linen) + len(nnx) > DEEPEST:
        raise WeightsError(f'class {class_name} contains itself without end at {show(linen)}; '
                           'correct the manifest')
      scope = Scope(linen, nnx, self.class_map(class_name))
      states = self._kept(scope) if _keeps_names(scope.entry) else self.members(
        scope.entry.members, scope, [State()])
      self._seen[key] = cheapest([self._charge_left_over(scope, state) for state in states])
    return self._seen[key]

  def _kept(self, scope: Scope) -> list[State]:
    """The class stays Linen and keeps its names; below the faces of NNX classes stand NNX names."""
    if not scope.entry.faces:
      return [self._place(State(), self._ruled(Placed(scope.linen, scope.nnx)), None)]
    if self.linen is None or self.nnx is None:
      note = (f'class {scope.entry.name} stays Linen and uses classes that are NNX now '
              f'({", ".join(scope.entry.faces)}): which of its names are theirs is only known with both trees; give the '
              'NNX model (--model), and the Linen tree')
      return [State(cost=HOLE, problems=(note,))]
    return self._behind_faces(scope, State(), scope.linen, scope.nnx)

  def _behind_faces(self, scope: Scope, state: State, linen: Path, nnx: NnxPath) -> list[State]:
    """Every node below: kept where both sides have the same leaves, else one of the faces, else what is below it."""
    assert self.linen is not None and self.nnx is not None
    if self._same_leaves(linen, nnx):
      return [self._place(state, self._ruled(Placed(linen, nnx)), None)]
    if linen != scope.linen:
      inside = [self.module(name, linen, nnx) for name in scope.entry.faces if name != scope.entry.name]
      fitting = [found for found in inside if found.cost < WRONG]
      if fitting:
        return merge(self._place(state, Placed(linen, nnx, rules=_rules_of(found.state), inside=found), None)
                     for found in fitting)
    states = [state]
    for name in sorted(self.linen.names.get(linen, ())):
      states = merge(after for before in states
                     for after in self._behind_faces(scope, before, (*linen, name), (*nnx, name)))
    return states

  def _same_leaves(self, linen: Path, nnx: NnxPath) -> bool:
    assert self.linen is not None and self.nnx is not None
    ours = {path[len(linen):] for _, path in self.linen.leaves(linen)}
    return ours == {path[len(nnx):] for path in self.nnx.leaves(text(nnx))}

  def class_map(self, class_name: str) -> ClassMap:
    """Returns the manifest entry of a class, or raises WeightsError."""
    if class_name not in self.manifest.classes:
      known = ', '.join(sorted(self.manifest.classes)) or 'none'
      raise WeightsError(f'the manifest has no class {class_name!r} (it has: {known}); '
                         'migrate the file that defines it, or name another class')
    return self.manifest.classes[class_name]

  def members(self, members: Iterable[Member], scope: Scope, states: list[State]) -> list[State]:
    """Reads members one after another."""
    for member in members:
      states = merge(self._member(member, scope, states))
    return states

  def _member(self, member: Member, scope: Scope, states: list[State]) -> Iterable[State]:
    if isinstance(member, Loop):
      return self._loop(member, scope, states)
    if isinstance(member, Branch):
      return [state for body in member.bodies for state in self.members(body, scope, states)]
    if isinstance(member, Shared):
      return [self._shared(member, scope, state) for state in states]
    if isinstance(member, Leaf):
      return [self._leaf(member, scope, state) for state in states]
    return [after for state in states for after in self._submodule(member, scope, state)]

  def _loop(self, loop: Loop, scope: Scope, states: list[State]) -> list[State]:
    done, frontier = list(states), list(states)
    while frontier:
      rounds = [self._iteration(loop, scope, state) for state in frontier]
      frontier = merge(after for found in rounds for after in found)
      done += frontier
    return merge(done)

  def _iteration(self, loop: Loop, scope: Scope, before: State) -> list[State]:
    """One pass; a pass that uses nothing is the end of the loop, except where a later number exists."""
    found = self.members(loop.body, scope, [before])
    moved = [state for state in found
             if len(state.consumed) > len(before.consumed) or state.gaps > before.gaps]
    return [state.with_(current=before.current) for state in moved]

  def _shared(self, member: Shared, scope: Scope, state: State) -> State:
    first, state = names.place(scope.nnx, member.nnx, state, ())
    second, state = names.place(scope.nnx, member.same_as, state, (), advance=False)
    return state.with_(shared=(*state.shared, (first, second)))

  def _leaf(self, member: Leaf, scope: Scope, state: State) -> State:
    found = names.leaf(member, scope, state, self.linen, self.nnx)
    nnx, state = names.place(scope.nnx, member.nnx, state, found.values)
    linen = (*scope.linen, *found.path)
    if not self._present(linen, nnx, member.collection):
      required = member.collection == 'params' or (self.linen is not None and self._nnx_has(nnx))
      return self._absent(state, 'variable', f'{member.collection}/{show(linen)}', nnx, required)
    placed = self._ruled(Placed(linen, nnx, collection=member.collection))
    return self._place(_unnamed(state, found), placed, member.collection)

  def _submodule(self, member: Submodule, scope: Scope, state: State) -> Iterable[State]:
    for found, state_after in names.submodule(member, scope, state, self.linen, self.nnx):
      nnx, after = names.place(scope.nnx, member.nnx, state_after, found.values)
      if member.transparent:
        yield after
        continue
      linen = (*scope.linen, *found.path)
      if self._present(linen, nnx, None):
        yield self._inside(_unnamed(after, found), member, linen, nnx)
      else:
        if self.linen is None and names.later_element(nnx, self.nnx):
          after = after.with_(gaps=after.gaps + 1)
        required = not self._may_be_empty(member.cls) or (self.linen is not None and self._nnx_has(nnx))
        yield self._absent(after, member.cls or 'module', show(linen), nnx, required)

  def _present(self, linen: Path, nnx: NnxPath, collection: str | None) -> bool:
    if self.linen is None:
      return self._nnx_has(nnx)
    if collection is None:
      return self.linen.has(linen)
    return any(found == collection for found, _ in self.linen.leaves(linen))

  def _nnx_has(self, nnx: NnxPath) -> bool:
    return self.nnx is not None and self.nnx.has(text(nnx))

  def _absent(self, state: State, what: str, linen: str, nnx: NnxPath, required: bool) -> State:
    allowed = not required or (self.linen is not None and self.nnx is not None and not self._nnx_has(nnx))
    if allowed:
      return state.with_(cost=state.cost + HOLE)
    note = f'{what}: Linen {linen} is not in the tree; NNX {show(nnx)} would get no value'
    return state.with_(cost=state.cost + WRONG, problems=(*state.problems, note))

  def _inside(self, state: State, member: Submodule, linen: Path, nnx: NnxPath) -> State:
    class_name = names.class_of(member, linen, self.manifest) or self._held_class(nnx)
    if class_name is not None and ':' in class_name:
      inside = self.module(class_name, linen, nnx)
      return self._place(state, Placed(linen, nnx, rules=_rules_of(inside.state), inside=inside), None)
    placed = Placed(linen, nnx, record=self.layer_for(class_name) if class_name else None)
    return self._place(state, self._ruled(placed), None)

  def _held_class(self, nnx: NnxPath) -> str | None:
    """Returns the class of what a field of any class holds in this model, if the manifest or one record knows it."""
    name = '' if self.nnx is None else self.nnx.classes.get(text(nnx), '')
    if ':' in name:
      return name if name in self.manifest.classes else None
    from rewrites import registry
    found = [record.linen[0] for record in registry.layer_for_nnx(name)]
    return found[0] if len(found) == 1 else None

  def _ruled(self, placed: Placed) -> Placed:
    """The same with its rules by whole paths."""
    rules, missing = self.relative_rules(placed)
    absolute = {((*placed.nnx, *path), tuple((collection, *placed.linen, *leaf) for collection, leaf in sources), axis)
                for path, sources, axis in rules}
    return dataclasses.replace(placed, rules=frozenset({*absolute, *missing}))

  def _place(self, state: State, placed: Placed, collection: str | None) -> State:
    """Uses a node: its cost is what fits on one side only."""
    node = (collection, *(text(placed.nnx) if self.linen is None else placed.linen))
    if node in state.consumed:
      return state.with_(cost=state.cost + WRONG)
    cost = placed.inside.cost if placed.inside else WRONG * self._mismatches(placed)
    return state.with_(cost=state.cost + cost, placed=(*state.placed, placed),
                       consumed=state.consumed | {node})

  def _mismatches(self, placed: Placed) -> int:
    if self.linen is None or self.nnx is None:
      return 0
    asked = {text((*placed.nnx, *nnx)) for nnx, _, _ in self.relative_rules(placed)[0]}
    return len(asked ^ set(self.nnx.leaves(text(placed.nnx))))

  def relative_rules(self, placed: Placed) -> tuple[list[layer_rules.RelativeRule], list[str]]:
    """Returns the rules below a placed node that is no project class, and its missing Linen leaves."""
    if self.linen is None:
      assert self.nnx is not None
      depth = len(placed.nnx)
      there = [(placed.collection or self.nnx.collections[self.nnx.canonical(leaf)], leaf[depth:])
               for leaf in self.nnx.leaves(text(placed.nnx))]
      return layer_rules.from_nnx(placed.record, there), []
    leaves = [(collection, leaf[len(placed.linen):]) for collection, leaf in self.linen.leaves(placed.linen)
              if placed.collection in (None, collection)]
    return layer_rules.from_linen(placed.record, leaves)

  def _charge_left_over(self, scope: Scope, state: State) -> State:
    """Adds the price of the leaves below this module that no member took."""
    left = 0
    if self.linen is not None:
      taken = {(node.collection, node.linen) for node in state.placed}
      start = len(scope.linen)
      left += sum(1 for leaf in self.linen.leaves(scope.linen) if not _covered(leaf, taken, start))
    if self.nnx is not None:
      nodes = {text(node.nnx) for node in state.placed}
      own = [leaf for leaf in self.nnx.leaves(text(scope.nnx)) if leaf not in self.nnx.shared]
      left += sum(1 for leaf in own if not any(leaf[:k] in nodes for k in range(len(leaf) + 1)))
    return state.with_(cost=state.cost + WRONG * left)

  def _may_be_empty(self, class_name: str | None) -> bool:
    """Whether a module of this class can exist without a single variable."""
    if class_name is None:
      return True
    if class_name not in self._empty:
      self._empty[class_name] = True  # a class that contains itself adds nothing by that
      self._empty[class_name] = self._compute_may_be_empty(class_name)
    return self._empty[class_name]

  def _compute_may_be_empty(self, class_name: str) -> bool:
    if ':' in class_name:
      entry = self.manifest.classes.get(class_name)
      return entry is None or entry.outcome != 'native' or self._can_skip(entry.members)
    record = self.layer_for(class_name)
    return record is None or not record.collections or names.all_parameters_optional(record)

  def _can_skip(self, members: Iterable[Member]) -> bool:
    for member in members:
      if isinstance(member, Branch) and not any(self._can_skip(body) for body in member.bodies):
        return False
      if isinstance(member, Leaf) and member.collection == 'params':
        return False
      if isinstance(member, Submodule) and not member.transparent and not self._may_be_empty(member.cls):
        return False
    return True


def _rules_of(state: State) -> frozenset:
  """What all placements below a module do, so that it does not matter through which classes it is done."""
  return frozenset().union(*(placed.rules for placed in state.placed), state.shared)


def _keeps_names(entry: ClassMap) -> bool:
  """Whether the class stays Linen behind nnx.bridge.ToNNX, which keeps Linen's names."""
  return entry.outcome != 'native' and not entry.members


def _unnamed(state: State, found: names.Found) -> State:
  """A name that cannot be told is an error in the end; reading on shows the other errors too."""
  if found.unnamed is None:
    return state
  return state.with_(cost=state.cost + HOLE, problems=(*state.problems, found.unnamed))


def _covered(leaf: tuple[str, Path], taken: set[tuple[str | None, Path]], start: int) -> bool:
  """Whether a node at or above a leaf is taken; start: the depth of the highest one that can be."""
  collection, path = leaf
  for depth in range(start, len(path) + 1):
    head = path[:depth]
    if (None, head) in taken or (collection, head) in taken:
      return True
  return False
