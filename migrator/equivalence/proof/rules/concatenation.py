"""Concatenation.  Canonical operation `concatenate`, params: the axis."""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import rule
from migrator.equivalence.proof.table import Table, Term


@rule('concatenate')
def concatenation_of_one(table: Table, term: Term) -> int | None:
  """One part alone is the whole."""
  return term.args[0] if len(term.args) == 1 else None


@rule('concatenate')
def concatenation_of_concatenations(table: Table, term: Term) -> int | None:
  """Parts joined along the same axis can be joined at once."""
  nested = [node.op == 'concatenate' and node.params == term.params
            for node in (table.nodes[arg] for arg in term.args)]
  if not any(nested):
    return None
  parts = [part for arg, inner in zip(term.args, nested) for part in (table.nodes[arg].args if inner else (arg,))]
  return table.make('concatenate', term.params, parts, term.shape or (), term.dtype or '')


@rule('concatenate')
def concatenation_of_slices(table: Table, term: Term) -> int | None:
  """Neighbouring slices of one array, joined along that axis, are one slice of it."""
  nodes, axis = [table.nodes[arg] for arg in term.args], term.params
  if any(node.op != 'slice' or node.args != nodes[0].args or set(node.params[2]) > {1} for node in nodes):
    return None
  if any(left.params[1][axis] != right.params[0][axis] for left, right in zip(nodes, nodes[1:])):
    return None
  others = {tuple((*bounds[:axis], *bounds[axis + 1:]) for bounds in node.params[:2]) for node in nodes}
  if len(others) != 1:
    return None
  starts, last = nodes[0].params[0], nodes[-1].params[1][axis]
  limits = (*nodes[0].params[1][:axis], last, *nodes[0].params[1][axis + 1:])
  return table.make('slice', (starts, limits, (1,) * len(starts)), nodes[0].args, term.shape or (), term.dtype or '')
