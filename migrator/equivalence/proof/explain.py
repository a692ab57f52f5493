"""The first operation in which two expressions differ, in words."""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import COMMUTATIVE
from migrator.equivalence.proof.table import Node, Table

SHOWN = 90


def difference(table: Table, linen: int, nnx: int) -> str:
  """Returns what differs first, walking both expressions from the result to the inputs."""
  first, second = first_difference(table, linen, nnx)
  return described(table, first, second)


def first_difference(table: Table, linen: int, nnx: int) -> tuple[int, int]:
  """Returns the deepest pair of expressions at the same place whose own operation differs."""
  return path_to_difference(table, linen, nnx)[-1]


def path_to_difference(table: Table, linen: int, nnx: int) -> list[tuple[int, int]]:
  """Returns the pairs of expressions from the results down to the first that differ in themselves."""
  path = [(linen, nnx)]
  while True:
    left, right = (table.nodes[number] for number in path[-1])
    pairs = [pair for pair in _differing(left, right) if pair not in path] if _alike(left, right) else []
    if not pairs:
      return path
    path.append(pairs[0])


def _alike(left: Node, right: Node) -> bool:
  return (left.op, left.params, len(left.args), left.shape) == (right.op, right.params, len(right.args), right.shape)


def _differing(left: Node, right: Node) -> list[tuple[int, int]]:
  if left.op in COMMUTATIVE:
    shared = set(left.args) & set(right.args)
    if shared and len(left.args) == 2:
      mine, other = set(left.args) - shared, set(right.args) - shared
      if mine and other:
        return [(mine.pop(), other.pop())]
  return [(a, b) for a, b in zip(left.args, right.args) if a != b]


def described(table: Table, linen: int, nnx: int) -> str:
  """Returns both sides of a difference in words."""
  left, right = table.scalar_of(linen), table.scalar_of(nnx)
  if left is not None and right is not None:
    return f'{left[()]!s} in Linen, {right[()]!s} in NNX'
  return f'{show(table, linen)} in Linen, {show(table, nnx)} in NNX'


def show(table: Table, number: int, depth: int = 2) -> str:
  """Returns an expression as text, nested to a depth."""
  text = _text(table, number, depth)
  return text if len(text) <= SHOWN else text[:SHOWN] + '...'


def _text(table: Table, number: int, depth: int) -> str:
  node = table.nodes[number]
  value = table.scalar_of(number)
  if value is not None:
    return str(value[()])
  if node.op == 'input':
    return str(node.params)
  if not node.args or depth == 0:
    return node.op
  return f'{node.op}({", ".join(_text(table, arg, depth - 1) for arg in node.args[:4])})'
