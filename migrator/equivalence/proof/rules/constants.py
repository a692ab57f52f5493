"""Operations on constants alone, where IEEE prescribes the one correct result."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from migrator.equivalence.inputs import dtype as numpy_dtype
from migrator.equivalence.proof.dtypes import is_float
from migrator.equivalence.proof.rules.record import ELEMENTWISE, rule
from migrator.equivalence.proof.table import Table, Term

# Correctly rounded in every IEEE implementation; in formats of 32 bits and more NumPy rounds once.
EXACT: dict[str, Callable[..., Any]] = {
  'add': np.add, 'sub': np.subtract, 'mul': np.multiply, 'neg': np.negative, 'sqrt': np.sqrt,
  'max': np.maximum, 'min': np.minimum, 'eq': np.equal, 'ne': np.not_equal, 'lt': np.less,
  'le': np.less_equal, 'gt': np.greater, 'ge': np.greater_equal, 'abs': np.abs,
  'and': np.bitwise_and, 'or': np.bitwise_or, 'div': np.true_divide}


@rule(ELEMENTWISE)
def fold_constants(table: Table, term: Term) -> int | None:
  """The result of an exactly rounded operation on constants is a constant."""
  if term.op not in EXACT and term.op != 'convert_element_type':
    return None
  values = [table.scalar_of(arg) for arg in term.args]
  if any(value is None for value in values):
    return None
  result = _computed(term, values)
  if result is None:
    return None
  scalar = table.value(result.reshape(()))
  return table.broadcast(scalar, term.shape or ()) if term.shape else scalar


def _computed(term: Term, values: list[Any]) -> np.ndarray | None:
  target = numpy_dtype(term.dtype or '')
  with np.errstate(all='ignore'):
    if term.op == 'convert_element_type':
      # Out of range conversions of floats to integers are not defined.
      if is_float(values[0].dtype.name) and not is_float(target.name) and target != np.dtype(bool):
        return values[0].astype(target) if float(values[0]).is_integer() and abs(float(values[0])) < 2**31 else None
      return values[0].astype(target)
    if term.op == 'div' and not is_float(target.name):
      return None
    return np.asarray(EXACT[term.op](*values)).astype(target)
