"""How well an attempt at call arguments does, and whether another one may do better."""

from __future__ import annotations

import re
from typing import Any

from . import oracle
from .events import Creation, Recording
from .symbols import SymbolTable
from .values import Alternatives, Array, Unknown, Value

MOST_ATTEMPTS = 15
_ABOUT_RANK = re.compile(
  r'rank|reshape|dim|unpack|range|axis|axes|shape|permut|ind(ex|ices)|broadcast|absent|batch|array|Conv'
)
_RANK_ITSELF = re.compile(r'has rank|unpacked into|number of dimensions|numbers of dimensions|too many indices')


def score(analysis: Any) -> int:
  unknown = sum(_unknown_result(value) for value in analysis.results.values())
  # An array without a batch axis speaks against the guess, and a weight whose size depends on the batch still more.
  unbatched = any(text.startswith('unbatched') for _, text in analysis.record.notes)
  doubt = 3 if unbatched else 4 * _sizes_of_batches(analysis)
  return 10 * len(analysis.unsized) + unknown + doubt


def refuses_ranks(analysis: Any) -> bool:
  """Tells whether a method fails because of the ranks of its arguments: no sizes that they share help then."""
  return any(_RANK_ITSELF.search(reason) for _, reason in analysis.unsized)


def _unknown_result(value: Value) -> bool:
  """Tells whether what a method returns, or the first item of it on every way, could not be followed."""
  if isinstance(value, Alternatives):
    return all(_unknown_result(option) for option in value.options)
  if isinstance(value, tuple) and value:
    return isinstance(value[0], Unknown)
  return isinstance(value, Unknown)


def _sizes_of_batches(analysis: Any) -> bool:
  """Tells whether the input size of a layer depends on the first axis of an array."""
  for creation in analysis.record.order:
    if creation.kind != 'layer':
      continue
    dims = [
      use.args[0].shape[-1]
      for use in creation.uses
      if use.args and isinstance(use.args[0], Array) and use.args[0].shape
    ]
    names = _symbols_of(dims, analysis.table)
    infos = [analysis.table.info(name) for name in names]
    if any(info is not None and info.kind == 'input' and info.axis == 0 and info.rank > 1 for info in infos):
      return True
  return False


def _symbols_of(dims: list[Any], table: SymbolTable) -> set[str]:
  """Returns the names of the symbols in some sizes; a size that a loop changes has those it enters the loop with."""
  found: set[str] = set()
  pending = list(dims)
  while pending:
    dim = pending.pop()
    if not oracle.is_symbolic(dim):
      continue
    for name in set(re.findall(r'[A-Za-z]\w*', oracle.text_of(dim))) - found:
      found.add(name)
      info = table.info(name)
      if info is not None and info.kind == 'carried':
        pending.append(info.entry)
  return found


def unsized(record: Recording) -> list[tuple[int, str]]:
  """Returns (line, reason) for every creation whose input is not known."""
  problems = []
  for creation in record.order:
    if creation.kind not in ('layer', 'class'):
      if creation.kind in ('param', 'variable') and isinstance(creation.value, Unknown) and not creation.value.soft:
        problems.append((creation.line, creation.value.reason))
      continue
    reason = _missing_input(creation) or _out_of_range(creation)
    if reason is not None:
      problems.append((creation.line, reason))
  return problems


def _out_of_range(creation: Creation) -> str | None:
  """An argument such as `x.shape[3]` of an array of three axes: the rank was guessed wrong."""
  return next(
    (
      value.reason
      for value in creation.arguments.values()
      if isinstance(value, Unknown) and value.reason.endswith('is out of range')
    ),
    None,
  )


def _missing_input(creation: Creation) -> str | None:
  if not creation.uses:
    return None
  reasons = []
  calls = [use for use in creation.uses if use.method != 'apply']
  absent = [use.args[0] for use in calls if use.args and isinstance(use.args[0], Unknown)]
  if absent and len(absent) == len(calls):
    return f'{absent[0].reason} (line {absent[0].line})' if absent[0].line else absent[0].reason
  for use in creation.uses:
    unknown = next((value for value in use.args if isinstance(value, Unknown) and not value.soft), None)
    if unknown is None:
      return None
    reasons.append(f'{unknown.reason} (line {unknown.line})' if unknown.line else unknown.reason)
  return reasons[0]




def hopeless(tried: list[list[tuple[int, str]]], found: Any) -> bool:
  """Other arguments cannot help if the reasons are not about ranks, or stay the same for three of them."""
  problems = found.unsized or [
    (0, value.reason) for value in found.results.values() if isinstance(value, Unknown)
  ]
  tried.append(problems)
  arrays = [item for item in found.parameters.get('__call__', []) if item.role == 'array' and item.dtype != 'key']
  if not problems and len(arrays) > 1:
    return False  # all is known, but a first axis that arrays share is doubted: another rank may do without
  if any(text.endswith('too large to follow') for _, text in found.record.refusals):
    return True
  if problems and not any(_ABOUT_RANK.search(reason) for _, reason in problems):
    return True
  # Every rank is tried in several ways before the next one.
  patience = 8 if any(_RANK_ITSELF.search(reason) for _, reason in problems) else 3
  return len(tried) >= patience and all(other == problems for other in tried[-patience:])


def patience_of(best: Any) -> int:
  """Returns how many attempts in a row may be no better: few if only what the class returns is not known."""
  if score(best) <= 1:
    return 3
  return 7 if best.unsized else MOST_ATTEMPTS
