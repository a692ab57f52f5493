"""One table of expressions for both programs: equal numbers mean the same expression of the same inputs.

A term is interned once, so that two programs read into one table share every
expression they have in common.  Before a term is interned, the rules of its
operation may replace it by a simpler one that has the same bits.
"""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from migrator.equivalence.inputs import dtype as numpy_dtype
from migrator.equivalence.proof.program import Constant, Kind, Shape

FOLDED_ELEMENTS = 1 << 16
NO_LEVELS: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
  """An operation on numbers of the table."""

  op: str
  params: Any
  args: tuple[int, ...]
  shape: Shape | None
  dtype: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
  """An interned term.  free: levels of the loops whose step it depends on.  value: of a constant."""

  op: str
  params: Any
  args: tuple[int, ...]
  shape: Any
  dtype: Any
  free: frozenset[int]
  value: np.ndarray | None = None


Rule = Callable[['Table', Term], int | None]


class Table:
  """Interned expressions.

  rules: by operation, tried in order.  unroll: loops of at most this many steps are written out.
  """

  def __init__(self, rules: dict[str, tuple[Rule, ...]], unroll: int = 0):
    self.rules, self.unroll = rules, unroll
    self.nodes: list[Node] = []
    self.fired: collections.Counter[str] = collections.Counter()
    self._numbers: dict[Any, int] = {}
    # Every term once: expressions share parts, and rules that go down would go there again and again.
    self._made: dict[Term, int] = {}
    self._skeletons: dict[Any, int] = {}

  def skeleton(self, key: Any) -> int:
    """Returns the number of a skeleton of a loop's step, see `streams`."""
    return self._skeletons.setdefault(key, len(self._skeletons))

  def make(self, op: str, params: Any, args: Iterable[int], shape: Shape, dtype: str) -> int:
    """Returns the number of a term after the rules have been applied."""
    term = Term(op, params, tuple(args), shape, dtype)
    known = self._made.get(term)
    if known is None:
      known = self._made[term] = self._applied(term)
    return known

  def _applied(self, term: Term) -> int:
    for rule in self.rules.get(term.op, ()):
      found = rule(self, term)
      if found is not None:
        self.fired[rule.__name__] += 1
        return found
    return self.intern(term.op, term.params, term.args, term.shape, term.dtype)

  def intern(self, op: str, params: Any, args: tuple[int, ...], shape: Any, dtype: Any,
             value: np.ndarray | None = None, bound: int | None = None, opened: int | None = None) -> int:
    """Returns the number of a term as it is.

    bound: a loop level that the term closes.  opened: one that it depends on besides its arguments.
    """
    key = (op, params, args, shape, dtype, bound)
    number = self._numbers.get(key)
    if number is None:
      free = self._free(args, bound, opened)
      number = self._numbers[key] = len(self.nodes)
      self.nodes.append(Node(op, params, args, shape, dtype, free, value))
    return number

  def _free(self, args: tuple[int, ...], bound: int | None, opened: int | None) -> frozenset[int]:
    free = NO_LEVELS
    for arg in args:
      more = self.nodes[arg].free
      if more and more is not free:
        free = free | more if free else more
    if bound is not None:
      free = free - {bound}
    return free if opened is None else free | {opened}

  def input(self, name: str, kind: Kind) -> int:
    """Returns the symbol of an input; the same name is the same symbol in both programs."""
    return self.intern('input', name, (), kind.shape, kind.dtype)

  def constant(self, constant: Constant) -> int:
    """Returns a constant of a program; uniform arrays become a scalar that is broadcast."""
    kind, value = constant.kind, constant.value
    if value is None or kind.dtype.startswith('key'):
      return self.intern('data', constant.digest, (), kind.shape, kind.dtype)
    return self.value(value)

  def value(self, array: Any) -> int:
    """Returns a constant array."""
    value = np.asarray(array)
    shape, dtype = tuple(value.shape), value.dtype.name
    if value.size > 1 and _is_uniform(value):
      return self.make('bcast', (), (self.value(value.reshape(-1)[0]),), shape, dtype)
    if value.size == 1 and value.ndim:
      return self.make('reshape', (), (self.value(value.reshape(())),), shape, dtype)
    return self.intern('const', value.tobytes(), (), shape, dtype, value)

  def number(self, value: float, dtype: str) -> int:
    """Returns a scalar constant."""
    return self.value(np.asarray(value).astype(numpy_dtype(dtype)))

  def scalar_of(self, number: int) -> np.ndarray | None:
    """Returns the value of a constant whose elements are all the same, None for anything else."""
    node = self.nodes[number]
    while node.op in ('bcast', 'reshape'):
      node = self.nodes[node.args[0]]
    return node.value.reshape(()) if node.value is not None and node.value.size == 1 else None

  def dims(self, number: int) -> Shape:
    """Returns the shape of an expression."""
    return self.nodes[number].shape

  def broadcast(self, number: int, shape: Shape, dims: Iterable[int] = ()) -> int:
    """Returns an expression broadcast to a shape; its axes become the axes `dims`."""
    return self.make('bcast', tuple(dims), (number,), shape, self.nodes[number].dtype)

  def reshaped(self, number: int, shape: Shape) -> int:
    return self.make('reshape', (), (number,), shape, self.nodes[number].dtype)


def _is_uniform(value: np.ndarray) -> bool:
  """By bits: 0.0 and -0.0 are not the same, not-a-number is."""
  flat = np.ascontiguousarray(value).reshape(-1)
  data = flat.view(np.uint8).reshape(flat.size, -1)
  return bool((data == data[0]).all())
