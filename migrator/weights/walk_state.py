"""What the walk of a construction program has decided so far, and how two ways that meet are merged."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import NnxPath

if TYPE_CHECKING:
  from rewrites.record import Layer

Path = tuple[str, ...]

# A module that may hold no variables and is not there: possible, but the last choice.
HOLE = 1
# A leaf on one side only: this way of reading the program is wrong, or the tree is.
WRONG = 1000
MOST_WRONG = 8
MOST_STATES = 20_000
MOST_RIVALS = 3


@dataclasses.dataclass(frozen=True)
class Placed:
  """A Linen node that is an NNX node.

  record: the layer's record; None for leaves that keep their paths.
  rules: what it does to the leaves below, by whole paths; two placements are the same if they do the
    same, so that it does not matter which of two layers or classes with the same parameters stands there.
  collection: set for a variable of the class itself.
  inside: the parse of a project class, which then lists its own placements.
  """

  linen: Path
  nnx: NnxPath
  collection: str | None = None
  rules: frozenset = frozenset()
  record: Layer | None = dataclasses.field(default=None, compare=False)
  inside: Outcome | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class State:
  """One way to have read the program up to here.

  counters: next automatic number per prefix.  positions: next position per nnx.List.
  current: position of the list element that the running iteration fills.
  consumed: source nodes used.  gaps: automatic numbers passed over while later ones exist.
  """

  counters: Mapping[str, int] = dataclasses.field(default_factory=dict)
  positions: Mapping[NnxPath, int] = dataclasses.field(default_factory=dict)
  current: Mapping[NnxPath, int] = dataclasses.field(default_factory=dict)
  consumed: frozenset[tuple] = frozenset()
  placed: tuple[Placed, ...] = ()
  shared: tuple[tuple[NnxPath, NnxPath], ...] = ()
  problems: tuple[str, ...] = ()
  cost: int = 0
  gaps: int = 0

  def with_(self, **changes: Any) -> State:
    """Returns a copy with some entries replaced; thousands are made, and dataclasses.replace takes three times as long."""
    made = object.__new__(State)
    made.__dict__.update(self.__dict__)
    made.__dict__.update(changes)
    return made

  def key(self) -> tuple:
    """Two states with the same key have the same future."""
    return (frozenset(self.counters.items()), frozenset(self.positions.items()),
            frozenset(self.current.items()), self.consumed)

  def meaning(self) -> tuple:
    """Two states with the same meaning map the same leaves to the same places."""
    return frozenset(self.placed), frozenset(self.shared)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The cheapest parse of one module; rivals: other parses that are as cheap and map differently."""

  state: State
  rivals: tuple[State, ...] = ()

  @property
  def cost(self) -> int:
    return self.state.cost


def merge(states: Iterable[State]) -> list[State]:
  """Keeps, of the states with the same future, the cheapest; different ones of equal cost all stay."""
  best: dict[tuple, list[State]] = {}
  for state in states:
    there = best.setdefault(state.key(), [])
    if not there or state.cost < there[0].cost:
      best[state.key()] = [state]
    elif state.cost == there[0].cost and len(there) < MOST_RIVALS:
      if all(state.meaning() != other.meaning() for other in there):
        there.append(state)
  kept = [state for there in best.values() for state in there]
  good = [state for state in kept if state.cost < WRONG]
  if len(good) > MOST_STATES:
    raise WeightsError('the construction program can be read in too many ways for this tree; '
                       'give the NNX model (--model) so that its attributes decide')
  wrong = sorted((state for state in kept if state.cost >= WRONG), key=lambda state: state.cost)
  return good + wrong[:MOST_WRONG]


def cheapest(states: Iterable[State]) -> Outcome:
  """Returns the best state and the different ones that are as good."""
  ranked = sorted(states, key=lambda state: state.cost)
  best = ranked[0]
  rivals: list[State] = []
  for state in ranked[1:]:
    if state.cost == best.cost and all(state.meaning() != other.meaning() for other in [best, *rivals]):
      rivals.append(state)
  return Outcome(best, tuple(rivals))
