"""A traced program as plain data: what a worker sends and the prover reads.  Imports neither jax nor flax.

Variables of a block are numbered from 0; a negative number -k-1 is constant k of the program.
"""
from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

# A dimension is a number, or the canonical text of an expression of symbols: 'b', '3*b'.
Shape = tuple[int | str, ...]
# Plain values only: None, bool, int, text, and tuples of them.
Params = tuple[tuple[str, Any], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
  """Shape and dtype of a value; the dtype of a random key is 'key<fry>' and the like."""

  shape: Shape
  dtype: str


@dataclasses.dataclass(frozen=True, slots=True)
class Equation:
  """One operation.  blocks: (parameter name, numbers of its blocks).  line: 'zoo/vit.py:31' or ''."""

  op: str
  params: Params
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  kinds: tuple[Kind, ...]
  blocks: tuple[tuple[str, tuple[int, ...]], ...] = ()
  line: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
  """Equations in order.  inputs: variables that are given; inner constants come first."""

  inputs: tuple[int, ...]
  kinds: tuple[Kind, ...]
  equations: tuple[Equation, ...]
  outputs: tuple[int, ...]
  constants: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Constant:
  """An array of the program; one too large to carry is known by its digest alone (value None)."""

  kind: Kind
  digest: str
  value: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Program:
  """blocks[0] is the whole program; names of its inputs and outputs are paths joined by '/'."""

  blocks: tuple[Block, ...]
  constants: tuple[Constant, ...]
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]

  def digest(self) -> str:
    """Returns the canonical hash: lines and the sharing of blocks do not count, all that is computed does."""
    known: dict[int, str] = {}

    def of(number: int) -> str:
      if number not in known:
        known[number] = _hashed(self.blocks[number], of, self.constants)
      return known[number]

    return hashlib.sha256(repr((self.inputs, self.outputs, of(0))).encode()).hexdigest()

  def size(self) -> int:
    """Returns the number of equations, those of loop bodies and functions counted once."""
    return sum(len(block.equations) for block in self.blocks)

  def equations(self) -> Iterator[Equation]:
    """Yields all equations of all blocks."""
    for block in self.blocks:
      yield from block.equations

  def arrays(self) -> dict[tuple[str, ...], np.ndarray]:
    """Returns the constants that are carried, by number."""
    return {(str(k),): constant.value for k, constant in enumerate(self.constants)
            if constant.value is not None}

  def to_json(self) -> dict[str, Any]:
    """Returns plain JSON values; the values of constants travel beside them, see `arrays`."""
    kinds: dict[Kind, int] = {}

    def numbered(kind: Kind) -> int:
      return kinds.setdefault(kind, len(kinds))

    blocks = [[block.inputs, [numbered(kind) for kind in block.kinds], block.outputs, block.constants,
               [[item.op, item.params, item.inputs, item.outputs, [numbered(kind) for kind in item.kinds],
                 item.blocks, item.line] for item in block.equations]]
              for block in self.blocks]
    constants = [[numbered(constant.kind), constant.digest] for constant in self.constants]
    return {'inputs': self.inputs, 'outputs': self.outputs, 'blocks': blocks, 'constants': constants,
            'kinds': [[kind.shape, kind.dtype] for kind in kinds]}


def _hashed(block: Block, of: Callable[[int], str], constants: Sequence[Constant]) -> str:
  def operand(number: int) -> int | str:
    return number if number >= 0 else constants[-number - 1].digest

  equations = [(item.op, item.params, [*map(operand, item.inputs)], item.outputs,
                [(kind.shape, kind.dtype) for kind in item.kinds],
                [(name, [*map(of, numbers)]) for name, numbers in item.blocks]) for item in block.equations]
  kinds = [(kind.shape, kind.dtype) for kind in block.kinds]
  plain = (block.inputs, kinds, equations, [*map(operand, block.outputs)], [*map(operand, block.constants)])
  return hashlib.sha256(repr(plain).encode()).hexdigest()


def from_json(document: dict[str, Any], arrays: dict[tuple[str, ...], np.ndarray]) -> Program:
  """Reads a program back from `to_json` and `arrays`."""
  kinds = [Kind(_tuples(shape), dtype) for shape, dtype in document['kinds']]
  blocks = tuple(
    Block(tuple(inputs), tuple(kinds[k] for k in of), tuple(
      Equation(op, _tuples(params), tuple(ins), tuple(outs), tuple(kinds[k] for k in out_kinds),
               _tuples(inner), line)
      for op, params, ins, outs, out_kinds, inner, line in equations), tuple(outputs), tuple(constants))
    for inputs, of, outputs, constants, equations in document['blocks'])
  known = tuple(Constant(kinds[kind], digest, arrays.get((str(k),)))
                for k, (kind, digest) in enumerate(document['constants']))
  return Program(blocks, known, tuple(document['inputs']), tuple(document['outputs']))


def _tuples(value: Any) -> Any:
  return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
