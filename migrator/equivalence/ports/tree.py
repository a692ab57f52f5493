"""What both models look like to the matching: modules and leaves with names, shapes, kinds; plain data."""
from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
USER, LEAF = 'user', 'leaf'


@dataclasses.dataclass(frozen=True)
class Leaf:
  """One array.

  name: path below the layer it belongs to, in NNX names; () for a leaf on its own.
  paths: where it lies: one path, or the Linen paths that are concatenated along `axis`.
  shape, dtype: of the whole (after concatenation).  collection: Linen's name of it.
  """

  name: Path
  paths: tuple[Path, ...]
  shape: tuple[int, ...]
  dtype: Any
  collection: str
  axis: int | None = None

  def __str__(self) -> str:
    return ', '.join(show(path) for path in self.paths) + f' ({self.dtype}[{",".join(map(str, self.shape))}])'


@dataclasses.dataclass(frozen=True)
class Node:
  """A module, or a leaf on its own.

  path: in the model.  name: path below the module it is matched in.
  kind: name of the NNX layer it is or becomes, such as 'Linear'; 'user' for other modules, 'leaf'.
  leaves: all arrays at or below it.  children: its parts, when it is opened.
  """

  path: Path
  name: Path
  kind: str
  leaves: tuple[Leaf, ...]
  children: tuple[Node, ...] = ()

  @property
  def shapes(self) -> frozenset[tuple[tuple[int, ...], int]]:
    """How many arrays of which shape there are."""
    return frozenset(Counter(leaf.shape for leaf in self.leaves).items())

  @property
  def is_layer(self) -> bool:
    return self.kind not in (USER, LEAF)

  def below(self, name: Path) -> Node:
    """Returns the node as seen from further out."""
    return dataclasses.replace(self, name=(*name, *self.name))


def every(node: Node) -> Iterator[Node]:
  """Yields a node and all nodes inside it."""
  yield node
  for child in node.children:
    yield from every(child)


def show(path: Path) -> str:
  """Returns a path as text: 'blocks/0/norm'; '(root)' for the model itself."""
  return '/'.join(map(str, path)) or '(root)'
