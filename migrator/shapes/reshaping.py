"""Reshapes.

JAX finds a size given as -1.  Whether given sizes fit is decided here, for JAX takes any with symbols.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
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
  if not oracle.is_symbolic(dim) or it.table.info(oracle.text_of(dim)) is not None:
    return
  count = len(array.shape)
  for start in range(count):
    for stop in range(start + 2, count + 1):
      factors = tuple(size for size in array.shape[start:stop] if not (isinstance(size, int) and size == 1))
      if len(factors) > 1 and oracle.same(math.prod(factors), dim) is True:
        it.table.products.setdefault(oracle.text_of(dim), factors)
        return


def _reshaped(it: Any, array: Array, given: tuple[Value, ...], node: ast.Call) -> Value:
  shape = tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else tuple(given)
  if not shape or not all(oracle.is_dim(dim) for dim in shape):
    return Unknown('a reshape to sizes that are not known', node.lineno)
  known = [dim for dim in shape if not (isinstance(dim, int) and dim == -1)]
  if len(known) == len(shape):
    return _explicit(it, array, shape, node)
  try:
    result = oracle.trace(lambda v: v[0].reshape(v[1]), (array, shape), ('method', 'reshape'), examples=False)
  except oracle.OracleFailure as error:
    if len(known) < len(shape) - 1 or not _positive(math.prod(known)):
      return Unknown(f'.reshape: {error}', node.lineno)
    rest = _rest(array.shape, known)
    result = Array(tuple(rest if isinstance(dim, int) and dim == -1 else dim for dim in shape), array.dtype)
  for dim in result.shape:
    _note_division(it, dim)
  return simplified(it, result)


def _explicit(it: Any, array: Array, shape: tuple[Dim, ...], node: ast.Call) -> Value:
  """All sizes are given.  JAX takes any with symbols, so whether they fit is decided here."""
  fits = _may_fit(it, array.shape, shape)
  if fits is False:
    sizes = [f'({", ".join(map(str, dims))})' for dims in (array.shape, shape)]
    return Unknown(
      f'a reshape of {sizes[0]} to {sizes[1]}, which do not fit for all sizes of the input', node.lineno
    )
  if fits is None:
    _note_fit(it, node.lineno)
  for dim in shape:
    _note_division(it, dim)
  return simplified(it, Array(shape, array.dtype))


def _positive(product: Dim) -> bool:
  return oracle.is_symbolic(product) or product > 0


def _may_fit(it: Any, shape: tuple[Dim, ...], given: tuple[Dim, ...]) -> bool | None:
  """Tells whether an array of this shape has as many elements as the given sizes.

  True: it has.  None: it has if sizes of fields fit, which they do if the program runs.
  False: it has not, or only for some sizes of the inputs, which means that the rank was guessed wrong.
  """
  above: list[Dim] = []
  below: list[Dim] = []
  # A quotient that the program computes is exact where it runs: its divisor goes to the other side.
  for dims, own, other in ((shape, above, below), (given, below, above)):
    for dim in dims:
      parts = _divided(dim)
      own.append(dim if parts is None else parts[0])
      other += [] if parts is None else [parts[1]]
  for dim in list(below):
    same = next((other for other in above if oracle.same(other, dim) is True), None)
    if same is not None:
      above.remove(same)
      below.remove(dim)
  left, right = math.prod(above), math.prod(below)
  if oracle.same(left, right) is True:
    return True
  counts = _factors(left), _factors(right)
  if counts[0] is None or counts[1] is None:
    names = {*_names(left), *_names(right)}
  else:
    names = {*(counts[0] - counts[1]), *(counts[1] - counts[0])}
  if any(name.startswith('unseen_') for name in names):
    return None  # nothing is known of one of the sizes, so nothing speaks against the guess
  measured = [name for name in names if _comes_from_call(it, name)]
  if not names or len(measured) == len(names) or not all(_is_width(it, name) for name in measured):
    return False
  if measured:
    it.table.taken_equal([left, right])
  return None


def _divided(dim: Dim) -> tuple[Dim, Dim] | None:
  """Returns (a, b) for a size that is `a // b`."""
  text = oracle.text_of(dim)
  match = re.fullmatch(r'floordiv\(([\w*]+), ([\w*]+)\)', text) if oracle.is_symbolic(dim) else None
  found = (oracle.parsed(match.group(1)), oracle.parsed(match.group(2))) if match else (None, None)
  return None if None in found else found


def _factors(dim: Dim) -> Counter[str] | None:
  """Returns how often each symbol is a factor of a product, numbers left out; None for a sum."""
  text = oracle.text_of(dim)
  if not re.fullmatch(r'[\w*^]+', text):
    return None
  counts: Counter[str] = Counter()
  for factor in text.split('*'):
    name, _, power = factor.partition('^')
    if not name.isdigit():
      counts[name] += int(power or 1)
  return counts


def _names(dim: Dim) -> set[str]:
  return set(re.findall(r'[A-Za-z]\w*', oracle.text_of(dim))) - {'floordiv', 'mod', 'max', 'min'}


def _comes_from_call(it: Any, name: str) -> bool:
  info = it.table.info(name)
  return info is not None and info.kind == 'input'


def _is_width(it: Any, name: str) -> bool:
  """Tells whether a size is the number of features of an input: that may have to be what the fields say."""
  info = it.table.info(name)
  return info is not None and info.rank > 2 and info.axis == info.rank - 1


def _note_fit(it: Any, line: int) -> None:
  it.note(line, 'the array is reshaped, so its sizes were taken to fit the new shape')


def _note_division(it: Any, quotient: Dim) -> None:
  """Remembers that the divisor divides the size, because the program reshapes one into the other."""
  text = oracle.text_of(quotient)
  parts = _divided(quotient)
  if parts is not None:
    it.divisions[text] = (quotient, parts)


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
