"""Operations that return their operand."""
from __future__ import annotations

from migrator.equivalence.proof.rules.record import rule
from migrator.equivalence.proof.table import Table, Term

COPIES = ('copy', 'copy_p', 'optimization_barrier', 'sharding_constraint', 'pvary', 'mesh_cast', 'pcast',
          'stop_gradient', 'random_clone', 'reduce_precision_noop')
INVERSES = {'random_unwrap': 'random_wrap', 'random_wrap': 'random_unwrap', 'neg': 'neg', 'not': 'not'}


@rule(COPIES)
def copy(table: Table, term: Term) -> int | None:
  """A copy, a barrier or a placement has the bits of its operand."""
  return term.args[0]


@rule(INVERSES)
def undone(table: Table, term: Term) -> int | None:
  """Flipping a sign or a bit twice, and wrapping a key that was unwrapped, is nothing."""
  inner = table.nodes[term.args[0]]
  return inner.args[0] if inner.op == INVERSES[term.op] and inner.dtype is not None and \
    table.nodes[inner.args[0]].dtype == term.dtype else None


@rule('add_any')
def accumulated(table: Table, term: Term) -> int | None:
  """The sum of two gradients is an addition."""
  return table.make('add', (), term.args, term.shape or (), term.dtype or '')


@rule('pad')
def no_padding(table: Table, term: Term) -> int | None:
  """Padding by nothing on every side is nothing."""
  config = dict(term.params)['padding_config']
  return term.args[0] if all(widths == (0, 0, 0) for widths in config) else None
