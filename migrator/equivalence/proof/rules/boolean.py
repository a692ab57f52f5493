"""Logic, comparison and selection."""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import SELECTING, rule
from migrator.equivalence.proof.table import Table, Term

MIRRORED = {'gt': 'lt', 'ge': 'le'}


@rule(MIRRORED)
def mirrored(table: Table, term: Term) -> int | None:
  """a > b is b < a, for not-a-number too."""
  return table.make(MIRRORED[term.op], term.params, reversed(term.args), term.shape or (), term.dtype or '')


@rule('ne')
def truth_of_converted(table: Table, term: Term) -> int | None:
  """A truth value converted to a number is not zero exactly when it is true."""
  for arg, other in (term.args, term.args[::-1]):
    zero = table.scalar_of(other)
    if zero is None or zero != 0:
      continue
    node, converted = table.nodes[arg], False
    while node.op in ('convert_element_type', 'reshape'):
      converted |= node.op != 'reshape'
      arg, node = node.args[0], table.nodes[node.args[0]]
    if converted and node.dtype == 'bool':
      return table.reshaped(arg, term.shape or ())
  return None


@rule('and', 'or')
def logic_with_constant(table: Table, term: Term) -> int | None:
  """x and true, x or false are x; x and false, x or true are the constant; x and x, x or x are x."""
  if term.dtype != 'bool':
    return None
  if term.args[0] == term.args[1]:
    return term.args[0]
  for arg, other in (term.args, term.args[::-1]):
    known = table.scalar_of(other)
    if known is not None:
      return arg if bool(known) == (term.op == 'and') else other
  return None


@rule(SELECTING)
def scalar_choice(table: Table, term: Term) -> int | None:
  """A scalar that chooses or bounds stands for every element."""
  shape = term.shape or ()
  if not shape or all(table.dims(arg) == shape for arg in term.args):
    return None
  args = [table.broadcast(arg, shape) if not table.dims(arg) else arg for arg in term.args]
  return table.make(term.op, term.params, args, shape, term.dtype or '') if tuple(args) != term.args else None


@rule('select_n')
def choice_of_same(table: Table, term: Term) -> int | None:
  """Choosing between the same values gives that value."""
  return term.args[1] if len(set(term.args[1:])) == 1 else None


@rule('select_n')
def choice_by_constant(table: Table, term: Term) -> int | None:
  """A constant choice is made."""
  which = table.scalar_of(term.args[0])
  return None if which is None else term.args[1 + int(which)]


@rule('select_n')
def choice_by_negation(table: Table, term: Term) -> int | None:
  """Choosing by `not x` is choosing by x with the values swapped."""
  inner = table.nodes[term.args[0]]
  if inner.op != 'not' or len(term.args) != 3:
    return None
  return table.make('select_n', term.params, (inner.args[0], term.args[2], term.args[1]), term.shape or (), term.dtype or '')
