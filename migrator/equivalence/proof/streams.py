"""Closing a loop: an expression of its steps becomes one term that does not name the loop's variables.

What a step computes is split into a skeleton (the operations that depend on the
step) and its holes: values from outside of the loop, and classes of carried
values.  From the expressions wanted, the classes that they reach are listed in
the order of their holes, each with its first value and its own skeleton.  Two
closed terms are equal only if these lists are, that is if the two loops are the
same system of equations, whatever else they carry.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from migrator.equivalence.proof.table import Table

# A hole is a number of the table; numbers of `carry` symbols of the level stand for their class.
Holes = tuple[int, ...]
# Class number -> (first value, value of the next step).
System = Mapping[int, tuple[int, int]]
HERE = 'here'


class Closing:
  """Closes expressions of one loop.

  level: of the loop.  loop: its length and direction.  system: its classes.
  """

  def __init__(self, table: Table, level: int, loop: tuple[Any, ...], system: System):
    self._table, self._level, self._loop, self._system = table, level, loop, system
    self._known: dict[int, tuple[int, Holes]] = {}

  def close(self, op: str, roots: Sequence[int], shape: Any, dtype: Any) -> int:
    """Returns the term of `op` on expressions of the loop's steps."""
    classes: list[int] = []
    outer: dict[int, int] = {}

    def described(number: int) -> tuple[Any, ...]:
      skeleton, holes = self._skeleton(number)
      return skeleton, tuple(reference(hole) for hole in holes)

    def reference(hole: int) -> tuple[str, int]:
      node = self._table.nodes[hole]
      if not self._is_carried(hole):
        return 'given', outer.setdefault(hole, len(outer))
      if node.args[0] not in classes:
        classes.append(node.args[0])
      return 'carried', classes.index(node.args[0])

    wanted = tuple(described(root) for root in roots)
    system = []
    for number in classes:  # grows while it is read: classes reached from classes
      first, following = self._system[number]
      system.append((outer.setdefault(first, len(outer)), described(following)))
    return self._table.intern(op, (self._loop, wanted, tuple(system)), tuple(outer), shape, dtype)

  def _is_carried(self, number: int) -> bool:
    node = self._table.nodes[number]
    return node.op == 'carry' and node.params[0] == self._level

  def _skeleton(self, root: int) -> tuple[int, Holes]:
    """Returns (number of the skeleton, its holes in order); without recursion, bodies may be deep."""
    waiting = [root]
    while waiting:
      number = waiting[-1]
      if number in self._known:
        waiting.pop()
        continue
      missing = [] if self._is_hole(number) else \
        [arg for arg in self._table.nodes[number].args if arg not in self._known]
      if missing:
        waiting += missing
        continue
      self._known[number] = self._of(number)
      waiting.pop()
    return self._known[root]

  def _is_hole(self, number: int) -> bool:
    return self._level not in self._table.nodes[number].free or self._is_carried(number)

  def _of(self, number: int) -> tuple[int, Holes]:
    node = self._table.nodes[number]
    if self._is_hole(number):
      return self._table.skeleton(('hole', node.shape, node.dtype)), (number,)
    places: dict[int, int] = {}
    parts = []
    for arg in node.args:
      skeleton, holes = self._known[arg]
      parts.append((skeleton, tuple(places.setdefault(hole, len(places)) for hole in holes)))
    params = (HERE, *node.params[1:]) if node.op in ('item', 'step') and node.params[0] == self._level else node.params
    return self._table.skeleton((node.op, params, node.shape, node.dtype, tuple(parts))), tuple(places)
