"""Conversions of dtype."""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import rule
from migrator.equivalence.proof.table import Table, Term

# A wider format holds every number of a narrower one.
MANTISSA = {'bfloat16': 8, 'float16': 11, 'float32': 24, 'float64': 53}
EXPONENT = {'bfloat16': 8, 'float16': 5, 'float32': 8, 'float64': 11}


def widens(narrow: str, wide: str) -> bool:
  """Whether every number of the narrow float format is one of the wide format."""
  return narrow in MANTISSA and wide in MANTISSA and MANTISSA[narrow] <= MANTISSA[wide] and \
    EXPONENT[narrow] <= EXPONENT[wide]


@rule('convert_element_type')
def same_dtype(table: Table, term: Term) -> int | None:
  """Converting to the dtype an array has already is nothing."""
  return term.args[0] if table.nodes[term.args[0]].dtype == term.dtype else None


@rule('convert_element_type')
def widened_and_back(table: Table, term: Term) -> int | None:
  """Widening is exact, so narrowing back gives the number it was."""
  inner = table.nodes[term.args[0]]
  if inner.op != 'convert_element_type' or table.nodes[inner.args[0]].dtype != term.dtype:
    return None
  return inner.args[0] if widens(term.dtype or '', inner.dtype) else None


@rule('convert_element_type')
def convert_before_broadcast(table: Table, term: Term) -> int | None:
  """Copies of a converted number are converted copies."""
  inner = table.nodes[term.args[0]]
  if inner.op not in ('bcast', 'reshape'):
    return None
  source = inner.args[0]
  converted = table.make(term.op, term.params, (source,), table.dims(source), term.dtype or '')
  return table.make(inner.op, inner.params, (converted,), term.shape or (), term.dtype or '')
