"""The leaf map: which Linen arrays are which NNX array.  Pure data, checked to be one-to-one."""
from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator

from migrator.weights.errors import WeightsError

# A Linen leaf starts with its collection: ('params', 'Dense_0', 'kernel').
LinenPath = tuple[str, ...]
# List positions are ints, as in nnx.state; everything else is text.
NnxPath = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Rule:
  """One NNX leaf and the Linen leaves it is made of.

  linen: one path, or several that are concatenated in this order.
  axis: the axis of concatenation; None for a leaf that is carried over as it is.
  """

  nnx: NnxPath
  linen: tuple[LinenPath, ...]
  axis: int | None = None


@dataclasses.dataclass(frozen=True)
class LeafMap:
  """All rules of one model, sorted by NNX path.  notes: what was assumed while composing."""

  rules: tuple[Rule, ...]
  notes: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    refuse_duplicates(self.rules)

  def __iter__(self) -> Iterator[Rule]:
    return iter(self.rules)

  def collection(self, name: str) -> LeafMap:
    """Returns the rules of one Linen collection."""
    return LeafMap(tuple(rule for rule in self.rules if rule.linen[0][0] == name))

  def linen_paths(self) -> set[LinenPath]:
    """Returns every Linen leaf path."""
    return {path for rule in self.rules for path in rule.linen}

  def nnx_paths(self) -> set[NnxPath]:
    """Returns every NNX leaf path."""
    return {rule.nnx for rule in self.rules}


def refuse_duplicates(rules: Iterable[Rule]) -> None:
  """Raises WeightsError if a leaf of either side is used twice."""
  rules = list(rules)
  nnx = Counter(rule.nnx for rule in rules)
  linen = Counter(path for rule in rules for path in rule.linen)
  twice = [f'NNX leaf {show(path)} is used {count} times' for path, count in nnx.items() if count > 1]
  twice += [f'Linen leaf {show(path)} is used {count} times' for path, count in linen.items() if count > 1]
  if twice:
    raise WeightsError('the map is not one-to-one; correct the manifest entry of the class:', sorted(twice))


def show(path: Iterable[str | int]) -> str:
  """Returns a path as text for messages: 'params/Dense_0/kernel'."""
  return '/'.join(str(part) for part in path)


def order(path: Iterable[str | int]) -> tuple[tuple[int, int, str], ...]:
  """Sort key of a path: list positions by number, names by text, numbers first."""
  return tuple((0, part, '') if isinstance(part, int) else (1, 0, part) for part in path)
