"""Which Linen module is which NNX module: by shapes first, then by kind of layer, then by names.

A module is matched as a whole where shapes allow it; where one side has a level more than
the other, modules are opened and their parts are matched instead.  What shapes, kinds and
names leave open is an ambiguity: no order of declaration is trusted.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence

from migrator.equivalence.ports.names import families, is_numbered, split_name
from migrator.equivalence.ports.tree import LEAF, Leaf, Node, Path

Pair = tuple[Node, Node]
# Other leaves a Linen layer may have in NNX, by the kind of NNX layer: the row of another record.
OtherForm = Callable[[Node, str], 'Node | None']


@dataclasses.dataclass
class Matching:
  """The result: pairs of modules and leaves; leaves of one side only; groups that stay open."""

  modules: list[tuple[Path, Path]] = dataclasses.field(default_factory=list)
  leaves: list[tuple[Leaf, Leaf]] = dataclasses.field(default_factory=list)
  linen_only: list[Leaf] = dataclasses.field(default_factory=list)
  nnx_only: list[Leaf] = dataclasses.field(default_factory=list)
  ambiguous: list[tuple[list[Node], list[Node]]] = dataclasses.field(default_factory=list)


class Matcher:
  """Matches trees; `other_form` reads a Linen layer as another NNX layer would hold it."""

  def __init__(self, other_form: OtherForm):
    self.found = Matching()
    self._other_form = other_form

  def pair(self, linen: Node, nnx: Node) -> None:
    """Takes two nodes as the same, and matches what is inside them."""
    if linen.kind != LEAF and nnx.kind != LEAF:
      self.found.modules.append((linen.path, nnx.path))
    if linen.kind == nnx.kind == LEAF:
      self.found.leaves.append((linen.leaves[0], nnx.leaves[0]))
      return
    fitting = self._fitting(linen, nnx)
    if fitting is not None:
      self._by_name(fitting, nnx)
    else:
      # A layer is opened last: the other side may have a level around the same layer.
      self.match([linen] if linen.is_layer and not nnx.is_layer else _parts(linen),
                 [nnx] if nnx.is_layer and not linen.is_layer else _parts(nnx))

  def match(self, linen: Sequence[Node], nnx: Sequence[Node]) -> None:
    """Matches the parts of two modules."""
    left, right = list(linen), list(nnx)
    while left and right:
      pairs, stuck = _pairs(left, right)
      pairs = pairs or _unequal_pairs(left, right)
      for one, other in pairs:
        left.remove(one)
        right.remove(other)
        self.pair(one, other)
      if pairs:
        continue
      if stuck:
        self.found.ambiguous += stuck
        left = [node for node in left if not any(node in group for group, _ in stuck)]
        right = [node for node in right if not any(node in group for _, group in stuck)]
      elif not _open(left, right):
        break
    self.found.linen_only += [leaf for node in left for leaf in node.leaves]
    self.found.nnx_only += [leaf for node in right for leaf in node.leaves]

  def _fitting(self, linen: Node, nnx: Node) -> Node | None:
    """Returns the Linen node with the leaf names of the NNX one, if they are the same layer."""
    names = {leaf.name for leaf in nnx.leaves}
    if linen.is_layer and nnx.is_layer:
      other = self._other_form(linen, nnx.kind)
      for form in filter(None, (linen, other)):
        if {leaf.name for leaf in form.leaves} == names:
          return form
      return linen if linen.kind == nnx.kind else None
    if linen.is_layer and {leaf.name for leaf in linen.leaves} == names:
      return linen
    return None

  def _by_name(self, linen: Node, nnx: Node) -> None:
    there = {leaf.name: leaf for leaf in nnx.leaves}
    for leaf in linen.leaves:
      other = there.pop(leaf.name, None)
      if other is None:
        self.found.linen_only.append(leaf)
      else:
        self.found.leaves.append((leaf, other))
    self.found.nnx_only += there.values()


def _parts(node: Node) -> Sequence[Node]:
  return node.children if node.kind != LEAF else (node,)


def _pairs(linen: Sequence[Node], nnx: Sequence[Node]) -> tuple[list[Pair], list[tuple[list[Node], list[Node]]]]:
  """Returns the pairs of nodes that hold arrays of the same shapes, and the groups that names leave open."""
  pairs: list[Pair] = []
  stuck = []
  left, right = _grouped(linen, lambda node: node.shapes), _grouped(nnx, lambda node: node.shapes)
  for shapes in left:
    ones, others = left[shapes], right.get(shapes, [])
    if len(ones) == len(others):
      found, rest = resolve(ones, others)
      pairs += found
      stuck += [rest] if rest[0] else []
    elif others:
      pairs += _same_names(ones, others)
  # Part of a group may be told apart by what is matched first; only the whole being stuck is the end.
  return pairs, stuck if not pairs else []


def resolve(linen: Sequence[Node], nnx: Sequence[Node]) -> tuple[list[Pair], tuple[list[Node], list[Node]]]:
  """Pairs nodes of equal shapes and equal number, by kind and names; the rest is what stays open."""
  if len(linen) == 1:
    return [(linen[0], nnx[0])], ([], [])
  left, right = _grouped(linen, lambda node: node.kind), _grouped(nnx, lambda node: node.kind)
  if len(left) > 1 and {kind: len(group) for kind, group in left.items()} == {
      kind: len(group) for kind, group in right.items()}:
    found = [resolve(left[kind], right[kind]) for kind in left]
    rests = [rest for _, rest in found]
    return [pair for pairs, _ in found for pair in pairs], (
      [node for one, _ in rests for node in one], [node for _, other in rests for node in other])
  pairs = _families(linen, nnx)
  if not pairs:
    return [], (list(linen), list(nnx))
  ones, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
  rest = [node for node in linen if node not in ones], [node for node in nnx if node not in others]
  if not rest[0]:
    return pairs, ([], [])
  more, open_ones = resolve(*rest)
  return pairs + more, open_ones


def _families(linen: Sequence[Node], nnx: Sequence[Node]) -> list[Pair]:
  """Pairs families of the same words, or the only family of each side, in the order of their numbers."""
  left, right = families(linen), families(nnx)
  same = [(left[stems], right[stems]) for stems in left
          if stems in right and len(left[stems]) == len(right[stems])]
  alone = [(*left.values(), *right.values())] if len(left) == len(right) == 1 and len(linen) == len(nnx) else []
  pairs = [pair for ones, others in same or alone if is_numbered(ones) and is_numbered(others)
           for pair in zip(ones, others, strict=True)]
  return pairs or _unique_pairs(linen, nnx, lambda node: split_name(node.name[-1:]))


def _unequal_pairs(linen: Sequence[Node], nnx: Sequence[Node]) -> list[Pair]:
  """Pairs modules of other shapes: a leaf more or less must not hide what belongs together."""
  left, right = _grouped(linen, lambda node: node.kind), _grouped(nnx, lambda node: node.kind)
  pairs = [pair for kind in left if kind in right for pair in _families(left[kind], right[kind])]
  if pairs or len(linen) > 1 or len(nnx) > 1 or (linen[0].kind == LEAF) != (nnx[0].kind == LEAF):
    return pairs
  return [(linen[0], nnx[0])]


def _same_names(linen: Sequence[Node], nnx: Sequence[Node]) -> list[Pair]:
  return _unique_pairs(linen, nnx, lambda node: (split_name(node.name), node.kind))


def _unique_pairs(linen: Sequence[Node], nnx: Sequence[Node], key: Callable[[Node], Hashable]) -> list[Pair]:
  """Pairs the nodes that are the only one with their key on both sides."""
  left, right = _grouped(linen, key), _grouped(nnx, key)
  return [(left[name][0], right[name][0]) for name in left if len(left[name]) == len(right.get(name, ())) == 1]


def _open(linen: list[Node], nnx: list[Node]) -> bool:
  """Replaces modules by their parts: those of the project first, layers where nothing else is left."""
  for is_opened in (lambda node: not node.is_layer and node.kind != LEAF, lambda node: node.kind != LEAF):
    opened = False
    # The side with fewer nodes has a level more; both are opened when they have equally many.
    for nodes, fewer in ((linen, len(linen) <= len(nnx)), (nnx, len(nnx) <= len(linen))):
      inside = [node for node in nodes if is_opened(node) and node.children]
      if inside and (fewer or not any(map(is_opened, nnx if nodes is linen else linen))):
        opened = True
        kept = [node for node in nodes if node not in inside]
        nodes[:] = kept + [child.below(node.name) for node in inside for child in node.children]
    if opened:
      return True
  return False


def _grouped(nodes: Iterable[Node], key: Callable[[Node], Hashable]) -> dict[Hashable, list[Node]]:
  groups: dict[Hashable, list[Node]] = {}
  for node in nodes:
    groups.setdefault(key(node), []).append(node)
  return groups
