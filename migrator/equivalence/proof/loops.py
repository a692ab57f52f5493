"""Loops: what is carried is a stream (first value, step), and streams are compared by partition refinement.

Carried values start in one class per first value; the body is read with one
symbol per class, and classes are split by what the body makes of them until
none splits.  So the order of what is carried, what is carried but never used,
what never changes, and whether something is carried or constant do not matter.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from migrator.equivalence.proof.program import Equation, Kind
from migrator.equivalence.proof.rules.slices import sliced
from migrator.equivalence.proof.streams import Closing
from migrator.equivalence.proof.table import Table

if TYPE_CHECKING:
  from migrator.equivalence.proof.interpret import Interpreter


def scan(reader: Interpreter, item: Equation, args: list[int]) -> list[int]:
  """Reads a scan: final values of what is carried, then the stacked outputs of all steps."""
  params = dict(item.params)
  fixed, carried, length = params['constants'], params['carried'], params['length']
  constants, first, sequences = args[:fixed], args[fixed:fixed + carried], args[fixed + carried:]
  body = item.blocks[0][1][0]
  if isinstance(length, int) and length <= reader.table.unroll:
    return _written_out(reader, item, constants, first, sequences)
  table, level, loop = reader.table, _free_level(reader.table, args), (length, params['reverse'])
  block = reader.program.blocks[body]
  kinds = block.kinds[len(block.constants) + fixed:]
  items = [_item(table, x, kind, level, loop) for x, kind in zip(sequences, kinds[carried:])]
  steady = _refined(table, first, kinds[:carried], level,
                    lambda symbols: reader.block(body, [*constants, *symbols, *items]))
  closing = Closing(table, level, loop, steady.system)
  finals = [first[k] if k in steady.fixed else
            closing.close('scan_final', [steady.symbols[k]], kinds[k].shape, kinds[k].dtype)
            for k in range(carried)]
  return finals + [_stacked(table, closing, number, kind, level, loop)
                   for number, kind in zip(steady.outputs[carried:], item.kinds[carried:])]


def while_loop(reader: Interpreter, item: Equation, args: list[int]) -> list[int]:
  """Reads a while loop: its condition is part of every result that changes."""
  params, blocks = dict(item.params), dict(item.blocks)
  of_condition, of_body = params['cond_nconsts'], params['body_nconsts']
  for_condition, for_body = args[:of_condition], args[of_condition:of_condition + of_body]
  first = args[of_condition + of_body:]
  table, level = reader.table, _free_level(reader.table, args)
  steady = _refined(table, first, item.kinds, level,
                    lambda symbols: reader.block(blocks['body_jaxpr'][0], [*for_body, *symbols]))
  condition = reader.block(blocks['cond_jaxpr'][0], [*for_condition, *steady.symbols])[0]
  closing = Closing(table, level, ('while',), steady.system)
  return [first[k] if k in steady.fixed else
          closing.close('while_final', [steady.symbols[k], condition], kind.shape, kind.dtype)
          for k, kind in enumerate(item.kinds)]


def cond(reader: Interpreter, item: Equation, args: list[int]) -> list[int]:
  """Reads a conditional: a constant choice is made, outputs equal in all branches do not depend on it."""
  branches, chosen = dict(item.blocks)['branches'], reader.table.scalar_of(args[0])
  if chosen is not None:
    return reader.block(branches[min(max(int(chosen), 0), len(branches) - 1)], args[1:])
  results = [reader.block(branch, args[1:]) for branch in branches]
  return [values[0] if len(set(values)) == 1 else
          reader.table.intern('cond', (), (args[0], *values), kind.shape, kind.dtype)
          for values, kind in zip(zip(*results), item.kinds)]


def _free_level(table: Table, args: Sequence[int]) -> int:
  """The smallest loop level that no operand depends on, so that loops inside loops do not mix."""
  used = frozenset().union(*(table.nodes[arg].free for arg in args)) if args else frozenset()
  return next(level for level in range(len(used) + 1) if level not in used)


def _item(table: Table, sequence: int, kind: Kind, level: int, loop: tuple[Any, bool]) -> int:
  """Returns what a step sees of a sequence; copies along the sequence are the same in every step."""
  node = table.nodes[sequence]
  if node.op == 'bcast' and 0 not in node.params:
    return table.broadcast(node.args[0], kind.shape, (axis - 1 for axis in node.params))
  return table.intern('item', (level, loop[1]), (sequence,), kind.shape, kind.dtype, opened=level)


@dataclasses.dataclass(frozen=True)
class Steady:
  """A loop's body on stable classes.  fixed: places whose value never changes."""

  outputs: list[int]
  symbols: list[int]
  fixed: set[int]
  system: dict[int, tuple[int, int]]


def _refined(table: Table, first: Sequence[int], kinds: Sequence[Kind], level: int,
             body: Callable[[list[int]], list[int]]) -> Steady:
  """Splits the classes of carried values until the body splits none of them further."""
  count, fixed = len(first), set[int]()

  def step(classes: Sequence[int]) -> tuple[list[int], list[int]]:
    symbols = [first[k] if k in fixed else
               table.intern('carry', (level,), (classes[k],), kinds[k].shape, kinds[k].dtype, opened=level)
               for k in range(count)]
    return symbols, body(symbols)

  def split(outputs: Sequence[int]) -> list[int]:
    return [table.intern('class', level, (first[k], outputs[k]), None, None, bound=level) for k in range(count)]

  def number_of(classes: Sequence[int]) -> int:
    return len({classes[k] for k in range(count) if k not in fixed})

  while True:
    classes = [table.intern('class', 'first', (number,), None, None) for number in first]
    finer = split(step(classes)[1])
    while number_of(finer) != number_of(classes):
      classes, finer = finer, split(step(finer)[1])
    symbols, outputs = step(finer)
    unchanged = {k for k in range(count) if k not in fixed and outputs[k] == symbols[k]}
    if not unchanged:
      system = {finer[k]: (first[k], outputs[k]) for k in range(count) if k not in fixed}
      return Steady(outputs, symbols, fixed, system)
    fixed |= unchanged


def _stacked(table: Table, closing: Closing, number: int, kind: Kind, level: int, loop: tuple[Any, bool]) -> int:
  """Returns what a step's output becomes, stacked: the same in every step, or a sequence passed through."""
  node = table.nodes[number]
  if level not in node.free:
    return table.broadcast(number, kind.shape, range(1, len(kind.shape)))
  if node.op == 'item' and node.params == (level, loop[1]):
    return node.args[0]
  return closing.close('loop_stack', [number], kind.shape, kind.dtype)


def _written_out(reader: Interpreter, item: Equation, constants: Sequence[int], first: Sequence[int],
                 sequences: Sequence[int]) -> list[int]:
  table, params = reader.table, dict(item.params)
  length, body, around = params['length'], item.blocks[0][1][0], reader.steps
  carried, rows = list(first), [[0] * length for _ in item.kinds[len(first):]]
  for step in reversed(range(length)) if params['reverse'] else range(length):
    reader.steps = (*around, step)
    outputs = reader.block(body, [*constants, *carried, *(_row(table, x, step) for x in sequences)])
    carried = outputs[:len(first)]
    for row, number in zip(rows, outputs[len(first):]):
      row[step] = number
  reader.steps = around
  stacks = [table.make('concatenate', 0, [table.reshaped(number, (1, *kind.shape[1:])) for number in row],
                       kind.shape, kind.dtype)
            for row, kind in zip(rows, item.kinds[len(first):])]
  return carried + stacks


def _row(table: Table, sequence: int, step: int) -> int:
  dims = table.dims(sequence)
  row = sliced(table, sequence, (step, *[0] * (len(dims) - 1)), (step + 1, *dims[1:]))
  return table.reshaped(row, dims[1:])


LOOPS = {'scan': scan, 'while': while_loop, 'cond': cond}
