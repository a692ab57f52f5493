"""Reading a program into a table: calls inline, loops in `loops`, everything else one term per equation."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from migrator.equivalence.proof.program import Equation, Kind, Program
from migrator.equivalence.proof.reading import READERS, SEVERAL
from migrator.equivalence.proof.table import Table

# What stands for a value that carries a mark (`name` primitive): (mark, number, steps written out) -> number.
Marks = Callable[[str, int, tuple[int, ...]], int]


class Interpreter:
  """Reads one program.

  marks: what becomes of marked values; None leaves them as they are.  lines: the source line that
  first made an expression, where the program knows.
  """

  def __init__(self, program: Program, table: Table, marks: Marks | None = None):
    self.program, self.table, self._marks = program, table, marks
    self.steps: tuple[int, ...] = ()
    self.lines: dict[int, str] = {}
    self._constants: dict[int, int] = {}

  def run(self, inputs: Mapping[str, int] | None = None) -> dict[str, int]:
    """Returns the number of every output; inputs that are not given are symbols of their names."""
    block = self.program.blocks[0]
    kinds = block.kinds[len(block.constants):]
    given = [(inputs or {}).get(name) for name in self.program.inputs]
    symbols = [self.table.input(name, kind) if number is None else number
               for name, kind, number in zip(self.program.inputs, kinds, given)]
    return dict(zip(self.program.outputs, self.block(0, symbols)))

  def block(self, number: int, args: Sequence[int]) -> list[int]:
    """Returns the outputs of a block on these arguments."""
    block = self.program.blocks[number]
    values: dict[int, int] = dict(zip(block.inputs, (*map(self._constant, block.constants), *args)))

    def operand(k: int) -> int:
      return values[k] if k >= 0 else self._constant(k)

    for item in block.equations:
      results = self.equation(item, [operand(k) for k in item.inputs])
      if item.line and item.op != 'call':
        for result in results:
          self.lines.setdefault(result, item.line)
      values.update(zip(item.outputs, results))
    return [operand(k) for k in block.outputs]

  def equation(self, item: Equation, args: list[int]) -> list[int]:
    if item.op == 'call':
      return self.block(item.blocks[0][1][0], args)
    if item.op == 'name':
      mark = dict(item.params)['name']
      return args if self._marks is None else [self._marks(mark, args[0], self.steps)]
    if item.op in ('scan', 'while', 'cond'):
      from migrator.equivalence.proof.loops import LOOPS
      return LOOPS[item.op](self, item, args)
    return self._operation(item, tuple(args))

  def _operation(self, item: Equation, args: tuple[int, ...]) -> list[int]:
    table, params = self.table, dict(item.params)
    if item.op in SEVERAL:
      return SEVERAL[item.op](table, params, args, item.kinds)
    if item.op in READERS and not item.blocks:
      return [READERS[item.op](table, params, args, item.kinds[0])]
    inner = tuple((name, *(self._closed(k) for k in numbers)) for name, numbers in item.blocks)
    given = item.params + inner
    if len(item.kinds) == 1:
      return [table.make(item.op, given, args, item.kinds[0].shape, item.kinds[0].dtype)]
    whole = table.intern(item.op, given, args, None, None)
    return [table.intern('out', k, (whole,), kind.shape, kind.dtype) for k, kind in enumerate(item.kinds)]

  def _closed(self, number: int) -> tuple[int, ...]:
    """Returns the outputs of a block that an operation applies by itself, as a function of parameters."""
    block = self.program.blocks[number]
    kinds: tuple[Kind, ...] = block.kinds[len(block.constants):]
    symbols = [self.table.intern('parameter', k, (), kind.shape, kind.dtype) for k, kind in enumerate(kinds)]
    return tuple(self.block(number, symbols))

  def _constant(self, number: int) -> int:
    known = self._constants.get(number)
    if known is None:
      known = self._constants[number] = self.table.constant(self.program.constants[-number - 1])
    return known
