"""Elementwise arithmetic: identities that hold for IEEE numbers bit by bit."""
from __future__ import annotations

import math

from migrator.equivalence.proof.dtypes import is_complex
from migrator.equivalence.proof.rules.record import ELEMENTWISE, rule
from migrator.equivalence.proof.table import Table, Term

# Powers of two whose inverse is a normal number of the format.
EXPONENTS = {'float16': 13, 'bfloat16': 100, 'float32': 100, 'float64': 900}


@rule(ELEMENTWISE)
def scalar_operand(table: Table, term: Term) -> int | None:
  """A scalar operand of an array operation is copied to every element."""
  shape = term.shape or ()
  if not shape or all(table.dims(arg) for arg in term.args):
    return None
  args = [arg if table.dims(arg) else table.broadcast(arg, shape) for arg in term.args]
  return table.make(term.op, term.params, args, shape, term.dtype or '')


# A conversion is moved before every reshape instead, see `converts`.
@rule(ELEMENTWISE - {'convert_element_type'})
def without_unit_axes(table: Table, term: Term) -> int | None:
  """Axes of size one do not change which elements meet."""
  shape = term.shape or ()
  if 1 not in shape or any(table.dims(arg) != shape for arg in term.args):
    return None
  small = tuple(size for size in shape if size != 1)
  args = [table.reshaped(arg, small) for arg in term.args]
  return table.reshaped(table.make(term.op, term.params, args, small, term.dtype or ''), shape)


@rule('square', 'integer_pow')
def square_as_product(table: Table, term: Term) -> int | None:
  """x squared is x * x; the first power is x."""
  power = 2 if term.op == 'square' else dict(term.params)['y']
  if power == 1:
    return term.args[0]
  return table.make('mul', (), term.args * 2, term.shape or (), term.dtype or '') if power == 2 else None


@rule('sub')
def minus_negated(table: Table, term: Term) -> int | None:
  """a - (-b) is a + b: changing a sign is exact."""
  inner = table.nodes[term.args[1]]
  if inner.op != 'neg':
    return None
  return table.make('add', (), (term.args[0], inner.args[0]), term.shape or (), term.dtype or '')


@rule('add')
def plus_negated(table: Table, term: Term) -> int | None:
  """a + (-b) is a - b, on either side: the sum of two numbers does not depend on their order."""
  for arg, other in ((term.args[0], term.args[1]), (term.args[1], term.args[0])):
    inner = table.nodes[other]
    if inner.op == 'neg' and arg != other:
      return table.make('sub', (), (arg, inner.args[0]), term.shape or (), term.dtype or '')
  return None


@rule('mul')
def times_one(table: Table, term: Term) -> int | None:
  """x * 1 is x; not of complex numbers, where an infinity times the 0 of 1 + 0i is no number."""
  if is_complex(term.dtype or ''):
    return None
  for arg, other in (term.args, term.args[::-1]):
    factor = table.scalar_of(other)
    if factor is not None and factor == 1:
      return arg
  return None


@rule('div')
def divided_by_power_of_two(table: Table, term: Term) -> int | None:
  """Dividing by a power of two, and multiplying by its inverse, change the exponent alone; by one, nothing."""
  divisor = table.scalar_of(term.args[1])
  if divisor is None or is_complex(term.dtype or ''):
    return None
  if divisor == 1:
    return term.args[0]
  largest = EXPONENTS.get(term.dtype or '', 0)
  fraction, exponent = math.frexp(float(divisor))
  if abs(fraction) != 0.5 or abs(exponent) > largest:
    return None
  inverse = table.number(1 / float(divisor), term.dtype or '')
  return table.make('mul', (), (term.args[0], table.broadcast(inverse, term.shape or ()) if term.shape else inverse),
                    term.shape or (), term.dtype or '')


@rule('max', 'min')
def extreme_of_same(table: Table, term: Term) -> int | None:
  """The larger of x and x is x."""
  return term.args[0] if term.args[0] == term.args[1] else None
