"""An index over leaf paths: what is there, and what lies below a node."""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

Path = tuple[str, ...]


class LinenTree:
  """The leaves of a variables dict, seen by module path: collections are merged, as modules see them.

  paths: ('params', 'Dense_0', 'kernel') and so on.
  """

  def __init__(self, paths: Iterable[Path]):
    self.below: dict[Path, list[tuple[str, Path]]] = defaultdict(list)
    self.names: dict[Path, set[str]] = defaultdict(set)
    self.collections: set[str] = set()
    for collection, *rest in sorted(paths):
      leaf = tuple(rest)
      self.collections.add(collection)
      for depth in range(len(leaf) + 1):
        self.below[leaf[:depth]].append((collection, leaf))
        if depth < len(leaf):
          self.names[leaf[:depth]].add(leaf[depth])

  def has(self, node: Path) -> bool:
    """Returns whether any leaf lies at or below the node."""
    return node in self.below

  def leaves(self, node: Path) -> list[tuple[str, Path]]:
    """Returns (collection, whole path without collection) of the leaves at or below the node."""
    return self.below.get(node, [])


class NnxTree:
  """The leaves of an NNX state; every part of a path is text, list positions included.

  collections: collection of each leaf, for walking from NNX to Linen.
  aliases: other paths of leaves that several attributes share -> their path in nnx.state.
  classes: names of the classes of modules, where the model itself is known: 'zoo.mlp:Mlp', or 'flax.nnx.Linear'.
  """

  def __init__(self, collections: Mapping[Path, str], aliases: Mapping[Path, Path] | None = None):
    self.collections = dict(collections)
    self.aliases = dict(aliases or {})
    self.below: dict[Path, list[Path]] = defaultdict(list)
    self.names: dict[Path, set[str]] = defaultdict(set)
    for leaf in sorted([*self.collections, *self.aliases]):
      for depth in range(len(leaf) + 1):
        self.below[leaf[:depth]].append(leaf)
        if depth < len(leaf):
          self.names[leaf[:depth]].add(leaf[depth])
    self.shared = {*self.aliases, *self.aliases.values()}
    self.classes: dict[Path, str] = {}
    self.typed: dict[Path, tuple[str | int, ...]] = {leaf: leaf for leaf in self.collections}

  def has(self, node: Path) -> bool:
    """Returns whether any leaf lies at or below the node."""
    return node in self.below

  def leaves(self, node: Path) -> list[Path]:
    """Returns the paths of the leaves at or below the node."""
    return self.below.get(node, [])

  def with_aliases(self, more: Mapping[Path, Path]) -> NnxTree:
    """Returns the same leaves with more paths for some of them."""
    tree = NnxTree(self.collections, {**self.aliases, **more})
    tree.typed, tree.classes = self.typed, self.classes
    return tree

  def canonical(self, leaf: Path) -> Path:
    """Returns the path that nnx.state uses for this leaf."""
    return self.aliases.get(leaf, leaf)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
  """Sort key that puts layers_2 before layers_10."""
  parts = re.findall(r'[0-9]+|[^0-9]+', text)
  return tuple((0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts)


def template_values(template: str, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
  """Returns {name: values of the placeholders} of the names that fit 'block_{}', in numeric order."""
  pattern = re.compile('(.+?)'.join(re.escape(part) for part in template.split('{}')))
  found = {name: match.groups() for name in names if (match := pattern.fullmatch(name))}
  return dict(sorted(found.items(), key=lambda item: [natural(value) for value in item[1]]))


def text(path: Iterable[str | int]) -> Path:
  """Returns a path with list positions as text."""
  return tuple(str(part) for part in path)
