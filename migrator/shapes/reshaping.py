"""Reshapes.  JAX decides where it can; where it cannot prove that the sizes fit, the program itself says so."""
from __future__ import annotations

import ast
import math
import re
from typing import Any

from . import oracle
from .values import Array, Dim, Unknown, Value


def reshaped(it: Any, array: Array, given: tuple[Value, ...], node: ast.Call) -> Value:
  """Returns the array with the new shape, one size of which may be -1.

  given: the sizes, or one tuple of them.
  """
  result = _reshaped(it, array, given, node)
  if isinstance(result, Array):
    for dim in result.shape:
      _note_product(it, array, dim)
  return result


def _note_product(it: Any, array: Array, dim: Dim) -> None:
  """Remembers which axes a flattened axis is made of: their product reads better than its expanded form."""
  if not oracle.is_symbolic(dim) or it.table.info(str(dim)) is not None:
    return
  count = len(array.shape)
  for start in range(count):
    for stop in range(start + 2, count + 1):
      factors = tuple(size for size in array.shape[start:stop] if not (isinstance(size, int) and size == 1))
      if len(factors) > 1 and oracle.same(math.prod(factors), dim) is True:
        it.table.products.setdefault(str(dim), factors)
        return


def _reshaped(it: Any, array: Array, given: tuple[Value, ...], node: ast.Call) -> Value:
  shape = tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else tuple(given)
  try:
    result = oracle.trace(lambda v: v[0].reshape(v[1]), (array, shape), key=('method', 'reshape'), examples=False)
    for dim in result.shape:
      _note_division(it, dim)
    return simplified(it, result)
  except oracle.OracleFailure as error:
    reason = str(error)
  if not shape or not all(oracle.is_dim(dim) for dim in shape):
    return Unknown(f'.reshape: {reason}', node.lineno)
  known = [dim for dim in shape if not (isinstance(dim, int) and dim == -1)]
  total, product = math.prod(array.shape), math.prod(known)
  if len(known) == len(shape) - 1 and _positive(product):
    rest = _rest(array.shape, known)
    _note_division(it, rest)
    return simplified(it, Array(tuple(rest if isinstance(dim, int) and dim == -1 else dim for dim in shape), array.dtype))
  if len(known) == len(shape) and _may_fit(it, total, product):
    _note_fit(it, node.lineno)
    for dim in shape:
      _note_division(it, dim)
    return simplified(it, Array(shape, array.dtype))
  return Unknown(f'.reshape: {reason}', node.lineno)


def _positive(product: Dim) -> bool:
  return oracle.is_symbolic(product) or product > 0


def _may_fit(it: Any, total: Dim, product: Dim) -> bool:
  """The sizes fit if the program runs, unless they differ in a size of an input: then the rank is wrong."""
  if not oracle.is_symbolic(total) and not oracle.is_symbolic(product):
    return bool(total == product)
  if all(oracle.evaluate(total, attempt) == oracle.evaluate(product, attempt) for attempt in range(2)):
    return True
  left, right = _inputs(it, total, product), _inputs(it, product, total)
  return not left and not right


def _inputs(it: Any, dim: Dim, other: Dim) -> bool:
  """Tells whether the quotient of the sizes depends on the size of an input."""
  rest = oracle.quotient(dim, other)
  names = re.findall(r'[A-Za-z]\w*', oracle.text_of(rest))
  return any((info := it.table.info(name)) is not None and info.kind in ('input', 'opaque', 'carried') for name in names)


def _note_fit(it: Any, line: int) -> None:
  note = (line, 'the array is reshaped, so its sizes were taken to fit the new shape')
  if it.recording and note not in it.record.notes:
    it.record.notes.append(note)


def _note_division(it: Any, quotient: Dim) -> None:
  """Remembers that the divisor divides the size, because the program reshapes one into the other."""
  text = oracle.text_of(quotient)
  match = re.fullmatch(r'floordiv\((\w+(?:\*\w+)*), (\w+(?:\*\w+)*)\)', text) if oracle.is_symbolic(quotient) else None
  if match is not None:
    total, divisor = oracle.parsed(match.group(1)), oracle.parsed(match.group(2))
    if total is not None and divisor is not None:
      it.divisions[text] = (quotient, (total, divisor))


def _rest(shape: tuple[Dim, ...], known: list[Dim]) -> Dim:
  """Returns the product of `shape` divided by that of `known`; what both hold is cancelled first."""
  above, below = list(shape), list(known)
  for dim in known:
    same = next((other for other in above if oracle.same(other, dim) is True), None)
    if same is not None:
      above.remove(same)
      below.remove(dim)
  return oracle.quotient(math.prod(above), math.prod(below))


def simplified(it: Any, value: Value) -> Value:
  """Writes `h * (c // h)` as `c` where the program has shown that h divides c."""
  if not it.divisions or not isinstance(value, Array):
    return value
  return Array(tuple(_simplified_dim(it, dim) for dim in value.shape), value.dtype, value.optional)


def _simplified_dim(it: Any, dim: Dim) -> Dim:
  if not oracle.is_symbolic(dim) or 'floordiv' not in oracle.text_of(dim):
    return dim
  for text, (quotient, (total, divisor)) in it.divisions.items():
    if text not in oracle.text_of(dim):
      continue
    rest = oracle.quotient(dim, quotient * divisor)
    if 'floordiv' not in oracle.text_of(rest) and oracle.same(rest * quotient * divisor, dim) is True:
      return rest * total
  return dim
