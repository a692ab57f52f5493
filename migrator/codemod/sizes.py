"""From symbolic sizes to source text that is valid in a constructor."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
from collections.abc import Callable
from typing import Any

from migrator.shapes.symbols import SymbolTable


class NotStatic(Exception):
  """An expression or a size cannot be written in the constructor; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class InputAxis:
  """One axis of a call argument that the constructor has to be told."""

  method: str
  argument: str
  axis: int
  rank: int


@dataclasses.dataclass
class Carried:
  """A size that changes from one pass of a loop to the next: a local variable of the constructor."""

  symbol: str
  name: str
  entry: Any
  update: Any
  loop: ast.AST


PLACEHOLDER = re.compile('\u27e6(\\w+):(\\w+):(-?\\d+|all|leading|from\\d+):(\\d+)\u27e7')


def placeholder(axis: InputAxis) -> str:
  """The size of an input axis is written as a placeholder until the form of the size argument is decided."""
  return f'\u27e6{axis.method}:{axis.argument}:{axis.axis}:{axis.rank}\u27e7'


def placeholder_part(axis: InputAxis, part: str) -> str:
  """As `placeholder`, for all axes of the input ('all') or all but the last ('leading'); the axis must be asked for."""
  return f'\u27e6{axis.method}:{axis.argument}:{part}:{axis.rank}\u27e7'


class SizeWriter:
  """Writes sizes of one class as source text.

  table: meaning of the symbols.
  condition: writes a condition that decides between two sizes; expression_text: writes an expression given as text,
    in the constructor (both raise NotStatic).
  field: writes a field expression such as 'self.config.width'.
  """

  def __init__(
    self,
    table: SymbolTable,
    condition: Callable[[ast.expr, SizeWriter], str],
    expression_text: Callable[[str], str],
    field: Callable[[str], str],
  ) -> None:
    self.table = table
    self.condition = condition
    self.expression_text = expression_text
    self.field = field
    self.needed: dict[InputAxis, None] = {}
    self.carried: dict[str, Carried] = {}
    self.locals: dict[str, None] = {}
    # Local variables that the constructor has anyway.
    self.available: set[str] = set()
    self.aliases: dict[str, str] = {}
    self.renamed: dict[int, str] = {}
    self.absent: set[tuple[str, str]] = set()
    self.imports: set[tuple[str, str | None]] = set()

  def text(self, dim: Any, names: dict[str, Any] | None = None, loops: tuple[ast.AST, ...] = ()) -> str:
    """Returns source text for a size.

    names: local variables at the place, by name: a variable that holds exactly this size is used where a plain
      symbol does not say it shorter.
    loops: loops the place is in.
    """
    if isinstance(dim, int):
      return str(dim)
    local = self._variable_with(dim, names or {})
    if local is not None:
      return local
    tree = ast.parse(str(dim).replace('^', '**'), mode='eval').body
    whole = self._trailing_product(tree, names or {}, loops) if isinstance(tree, ast.BinOp) else None
    if whole is not None:
      return whole
    factors = self.table.products.get(str(dim))
    if factors is not None:
      return ' * '.join(_factor(self.text(factor, names, loops)) for factor in factors)
    return _unparenthesised(self._write(absorbed(tree), names or {}, loops))

  def _variable_with(self, dim: Any, names: dict[str, Any]) -> str | None:
    """Returns a local variable of the constructor that holds exactly this size, unless the size is a plain name itself."""
    info = self.table.info(str(dim))
    if info is not None and info.kind != 'phi':
      return None
    for name in sorted(self.available & set(names)):
      if str(names[name]) == str(dim):
        self.locals[name] = None
        return name
    return None

  def given(self, method: str, argument: str, is_given: bool) -> str | None:
    """Returns the constructor's test whether an optional array is given, if a size of it is asked for."""
    axis = next((axis for axis in self.needed if (axis.method, axis.argument) == (method, argument)), None)
    if axis is None:
      return None
    self.absent.add((method, argument))
    return f'{placeholder_part(axis, "all")} {"is not" if is_given else "is"} None'

  def parameter(self, dim: Any, names: dict[str, Any] | None = None, loops: tuple[ast.AST, ...] = ()) -> str:
    return self.text(dim, names, loops)

  def _write(self, node: ast.expr, names: dict[str, Any], loops: tuple[ast.AST, ...]) -> str:
    if isinstance(node, ast.Name):
      return self._symbol(node.id, names, loops)
    if isinstance(node, ast.Constant):
      return str(node.value)
    if isinstance(node, ast.UnaryOp):
      return f'-{_grouped(self._write(node.operand, names, loops))}'
    if isinstance(node, ast.BinOp):
      return self._binary(node, names, loops)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
      return self._call(node.func.id, node.args, names, loops)
    raise NotStatic(f'the size {ast.unparse(node)} cannot be written')

  def _binary(self, node: ast.BinOp, names: dict[str, Any], loops: tuple[ast.AST, ...]) -> str:
    left, right = node.left, node.right
    if isinstance(node.op, ast.Add) and isinstance(left, ast.UnaryOp):
      return f'{self._write(right, names, loops)} - {_factor(self._write(left.operand, names, loops))}'
    whole = self._trailing_product(node, names, loops) if isinstance(node.op, ast.Mult) else None
    if whole is not None:
      return whole
    op = {ast.Add: '+', ast.Sub: '-', ast.Mult: '*', ast.Pow: '**'}[type(node.op)]
    a, b = self._write(left, names, loops), self._write(right, names, loops)
    if op == '+' and a.startswith('-'):
      return f'{b} - {_factor(a[1:])}'
    if op in '*':
      return f'{_factor(a)} * {_factor(b)}'
    if op == '**':
      return f'{_grouped(a)}**{_grouped(b)}'
    return f'{a} {op} {_factor(b) if op == "-" else b}'

  def _trailing_product(
    self, node: ast.BinOp, names: dict[str, Any], loops: tuple[ast.AST, ...]
  ) -> str | None:
    """A product of all axes from one on is `math.prod(x_shape[1:])`, of all axes `math.prod(x_shape)`: right for any rank."""
    factors = _factors(node)
    infos = {factor.id: self.table.info(factor.id) for factor in factors if isinstance(factor, ast.Name)}
    inputs = {name: info for name, info in infos.items() if info is not None and info.kind == 'input'}
    arguments = {(info.method, info.argument, info.rank) for info in inputs.values()}
    axes = sorted(info.axis for info in inputs.values())
    if (
      len(arguments) != 1
      or len(axes) < 2
      or len({id(factor) for factor in factors if isinstance(factor, ast.Name) and factor.id in inputs})
      != len(axes)
    ):
      return None
    method, argument, rank = next(iter(arguments))
    if axes != list(range(axes[0], rank)):
      return None
    first = InputAxis(method, argument, axes[0], rank)
    part = f'from{axes[0]}' if axes[0] else 'all'
    self.needed[first] = None
    self.imports.add(('math', None))
    rest = [factor for factor in factors if not (isinstance(factor, ast.Name) and factor.id in inputs)]
    return ' * '.join(
      [
        *(_factor(self._write(factor, names, loops)) for factor in rest),
        f'math.prod({placeholder_part(first, part)})',
      ]
    )

  def _call(self, name: str, args: list[ast.expr], names: dict[str, Any], loops: tuple[ast.AST, ...]) -> str:
    written = [self._write(arg, names, loops) for arg in args]
    if name == 'floordiv':
      left = written[0] if re.fullmatch(r'[^ ]+( // [^ ]+)+', written[0]) else _factor(written[0])
      return f'{left} // {_grouped(written[1])}'
    if name == 'mod':
      return f'{_factor(written[0])} % {_grouped(written[1])}'
    if name == 'max' and '0' in written:
      # The bound only says that a window fits; where it does not, Linen fails as well.
      return next(text for text in written if text != '0')
    return f'{name}({", ".join(map(_unparenthesised, written))})'

  def _symbol(self, name: str, names: dict[str, Any], loops: tuple[ast.AST, ...]) -> str:
    info = self.table.info(name)
    if info is None:
      raise NotStatic(f'the size {name} is only known to another class')
    if info.kind == 'field':
      return self._aliased(self.field(info.source))
    if info.kind == 'input':
      axis = InputAxis(
        info.method,
        info.argument,
        info.axis - info.rank if info.axis == info.rank - 1 else info.axis,
        info.rank,
      )
      self.needed[axis] = None
      return placeholder(axis)
    if info.kind == 'local':
      return self._local(name, info.source, names, loops, info.loop)
    if info.kind == 'phi':
      return self._either(name, info, names, loops)
    if info.kind == 'carried':
      return self._carried(name, info, loops)
    raise NotStatic('the size comes from an array whose shape has no expression')

  def _aliased(self, text: str) -> str:
    """Writes `cfg.width` where the author calls `self.config` so."""
    root, dot, rest = text.partition('.')
    return f'{self.aliases[root]}.{rest}' if dot and root in self.aliases else text

  def _local(
    self, name: str, source: str, names: dict[str, Any], loops: tuple[ast.AST, ...], loop: ast.AST | None
  ) -> str:
    if loop is not None and loop not in loops:
      return self._in_step(source, loop, loops)
    if not source.isidentifier():
      source = next((variable for variable, value in names.items() if str(value) == name), source)
    if source.isidentifier():
      value = names.get(source)
      if (
        value is None
        and loop is None
        or value is not None
        and str(value) != name
        and getattr(value, 'source', '') != source
      ):
        raise NotStatic(f'the variable {source} does not hold the size where it is needed')
      self.locals[source] = None
      return source
    return _grouped(self.expression_text(source))

  def _in_step(self, source: str, loop: ast.AST, loops: tuple[ast.AST, ...]) -> str:
    """A loop variable of another list, in a list built over the same values: its own variable is the same."""
    clause = _clause(loop)
    for other in reversed(loops):
      found = _clause(other)
      if clause is None or found is None or ast.unparse(clause.iter) != ast.unparse(found.iter):
        continue
      if (
        isinstance(clause.target, ast.Name)
        and isinstance(found.target, ast.Name)
        and clause.target.id == source
      ):
        if found.target.id != '_':
          return found.target.id
        self.renamed[id(found.target)] = source
        return source
    raise NotStatic(f'the size {source} is only known inside a loop')

  def _either(self, name: str, info: Any, names: dict[str, Any], loops: tuple[ast.AST, ...]) -> str:
    then, orelse = self.text(info.then, names, loops), self.text(info.orelse, names, loops)
    if then == orelse:
      return _grouped(then)
    holder = next((variable for variable, value in names.items() if str(value) == name), None)
    if holder is not None:
      self.locals[holder] = None
      return holder
    if info.test is None:
      raise NotStatic(f'the size is {then} or {orelse}, and the condition is not known')
    return f'({then} if {self.condition(info.test, self)} else {orelse})'

  def _carried(self, name: str, info: Any, loops: tuple[ast.AST, ...]) -> str:
    if name not in self.carried:
      self.carried[name] = Carried(name, info.source, info.entry, info.update, info.loop)
    return self.carried[name].name


def _factors(node: ast.expr) -> list[ast.expr]:
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
    return [*_factors(node.left), *_factors(node.right)]
  return [node]


def _clause(loop: ast.AST) -> Any:
  """Returns what holds `target` and `iter` of a loop or a comprehension of one clause."""
  if isinstance(loop, ast.For):
    return loop
  generators = getattr(loop, 'generators', [])
  return generators[0] if len(generators) == 1 and not generators[0].ifs else None


def absorbed(node: ast.expr) -> ast.expr:
  """Writes `(h - 2) // 2 + 1` as `h // 2`: a whole number next to a floor division moves into it if that cancels."""
  quotient, number = _constant_part(node)
  if number and isinstance(quotient, ast.Call) and getattr(quotient.func, 'id', '') == 'floordiv':
    divisor = quotient.args[1]
    rest, constant = _constant_part(quotient.args[0])
    step = divisor.value if isinstance(divisor, ast.Constant) and isinstance(divisor.value, int) else None
    total = constant + number * step if step is not None else 0
    if step is not None and constant < 0 and abs(total) <= -constant:
      inner = (
        rest
        if total == 0
        else ast.BinOp(rest, ast.Add() if total > 0 else ast.Sub(), ast.Constant(abs(total)))
      )
      return ast.Call(quotient.func, [absorbed(inner), divisor], [])
  for field, value in ast.iter_fields(node):
    if isinstance(value, ast.expr):
      setattr(node, field, absorbed(value))
    elif isinstance(value, list):
      setattr(node, field, [absorbed(item) if isinstance(item, ast.expr) else item for item in value])
  return node


def _constant_part(node: ast.expr) -> tuple[ast.expr, int]:
  """Splits `x + 2` into x and 2; other expressions have the number 0."""
  if (
    isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and isinstance(node.right.value, int)
  ):
    if isinstance(node.op, (ast.Add, ast.Sub)):
      return node.left, node.right.value if isinstance(node.op, ast.Add) else -node.right.value
  return node, 0


def _grouped(text: str) -> str:
  return text if re.fullmatch(r'[\w.\[\]\'"\u27e6\u27e7:-]+', text) or enclosed(text) else f'({text})'


def _factor(text: str) -> str:
  return f'({text})' if re.search(r' [+-] | if |//| % ', text) and not enclosed(text) else text


def enclosed(text: str) -> bool:
  if not (text.startswith('(') and text.endswith(')')):
    return False
  depth = 0
  for position, character in enumerate(text):
    depth += (character == '(') - (character == ')')
    if depth == 0 and position < len(text) - 1:
      return False
  return True


def alone(text: str) -> str:
  """Returns a size as it is written where it stands alone, as an argument or an element: without parentheses around it."""
  return text[1:-1] if enclosed(text) and not _is_tuple(text) else text


def _is_tuple(text: str) -> bool:
  """Tells whether parentheses around a text make a tuple of it."""
  depths = itertools.accumulate((character in '([{') - (character in ')]}') for character in text)
  return any(depth == 1 and character == ',' for depth, character in zip(depths, text))


def _unparenthesised(text: str) -> str:
  return text[1:-1] if enclosed(text) and ' if ' not in text else text
