"""Where rules are kept: by operation, in the order they are tried."""
from __future__ import annotations

from collections.abc import Callable, Iterable

from migrator.equivalence.proof.table import Rule, Table, Term

COMMUTATIVE = ('add', 'add_any', 'mul', 'max', 'min', 'and', 'or', 'xor', 'eq', 'ne')
# Each element of the result is computed from the elements at the same place alone.
ELEMENTWISE = frozenset((
  'add', 'add_any', 'sub', 'mul', 'div', 'max', 'min', 'and', 'or', 'xor', 'eq', 'ne', 'lt', 'le', 'gt', 'ge',
  'pow', 'rem', 'atan2', 'nextafter', 'neg', 'sign', 'floor', 'ceil', 'round', 'is_finite', 'exp', 'exp2',
  'log', 'log1p', 'expm1', 'tanh', 'logistic', 'sin', 'cos', 'tan', 'erf', 'erfc', 'erf_inv', 'sqrt',
  'rsqrt', 'cbrt', 'abs', 'not', 'integer_pow', 'convert_element_type', 'square', 'shift_right_logical',
  'shift_left', 'shift_right_arithmetic', 'population_count'))
SELECTING = frozenset(('select_n', 'clamp'))

RULES: list[tuple[frozenset[str], Rule]] = []


def rule(*operations: str | Iterable[str]) -> Callable[[Rule], Rule]:
  """Registers a rule for operations, after the rules that were registered before it."""
  names = frozenset(name for item in operations for name in ([item] if isinstance(item, str) else item))

  def registered(function: Rule) -> Rule:
    RULES.append((names, function))
    return function

  return registered


def rule_names() -> list[str]:
  """Returns the names of all rules, in the order they are tried."""
  return [function.__name__ for _, function in RULES]


def by_operation(without: frozenset[str]) -> dict[str, tuple[Rule, ...]]:
  """Returns the rules of every operation, in order."""
  operations = {name for names, _ in RULES for name in names}
  return {name: tuple(function for names, function in RULES
                      if name in names and function.__name__ not in without) for name in operations}


def commuted(rules: dict[str, tuple[Rule, ...]]) -> dict[str, tuple[Rule, ...]]:
  """Adds commutation as the last rule of the commutative operations."""
  return {**rules, **{name: (*rules.get(name, ()), in_order) for name in COMMUTATIVE}}


def in_order(table: Table, term: Term) -> int | None:
  """a + b = b + a: the operands are sorted; fusing into a multiply-add may still round another operand."""
  return table.intern(term.op, term.params, tuple(sorted(term.args)), term.shape, term.dtype)
