"""The part of a mapping that the user gives: pairs that are taken out before anything is inferred."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from migrator.equivalence.ports.errors import MappingError
from migrator.equivalence.ports.tree import LEAF, Node, Path, every, show


class Pins:
  """Pairs of nodes by path.

  Raises:
    MappingError: a path is in neither model, or is given twice.
  """

  def __init__(self, mapping: Mapping[str, str], linen: Node, nnx: Node):
    sides = [({_words(path): path for path in mapping}, linen), ({_words(p): p for p in mapping.values()}, nnx)]
    unknown = [f'{name!r} is no {side} module or leaf; there are: {_known(tree)}'
               for side, (paths, tree) in zip(('Linen', 'NNX'), sides, strict=True)
               for path, name in paths.items() if _find(tree, path) is None]
    if len(set(map(_words, mapping.values()))) < len(mapping):
      unknown.append('one NNX path is given for several Linen paths')
    if unknown:
      raise MappingError('mapping cannot be used:', unknown)
    found = [(_find(linen, _words(one)), _find(nnx, _words(other))) for one, other in mapping.items()]
    # Inner modules first: what is left of the outer ones is matched without them.
    given = sorted(((one, other) for one, other in found if one and other), key=lambda pair: -len(pair[0].path))
    self._taken: tuple[list[Path], list[Path]] = ([], [])
    self.pairs: list[tuple[Node, Node]] = []
    for one, other in given:
      self.pairs.append((self.without(one, 0), self.without(other, 1)))
      self._taken[0].append(_place(one))
      self._taken[1].append(_place(other))

  def without(self, node: Node, side: int) -> Node:
    """Returns a node without the pinned parts of one side (0 Linen, 1 NNX)."""
    taken = self._taken[side]
    children = tuple(self.without(child, side) for child in node.children if _place(child) not in taken)
    gone = [path for path in taken if any(leaf.paths[0][side == 0:][:len(path)] == path or
                                          leaf.paths[0] == path for leaf in node.leaves)]
    leaves = tuple(leaf for leaf in node.leaves if not any(
      leaf.paths[0] == path or leaf.paths[0][side == 0:][:len(path)] == path for path in gone))
    return dataclasses.replace(node, leaves=leaves, children=children)


def _place(node: Node) -> Path:
  """A Linen leaf is named with its collection: the same name may be in several."""
  return node.leaves[0].paths[0] if node.kind == LEAF else node.path


def _words(path: str) -> Path:
  parts = path.replace('.', '/').strip('/').split('/')
  return tuple(int(part) if part.isdecimal() else part for part in parts)


def _find(tree: Node, path: Path) -> Node | None:
  texts = tuple(map(str, path))
  return next((node for node in every(tree)
               if texts in (tuple(map(str, node.path)), tuple(map(str, _place(node))))), None)


def _known(tree: Node) -> str:
  return ', '.join(show(_place(node)) for node in every(tree) if node.path)
