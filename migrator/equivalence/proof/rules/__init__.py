"""The rules of the prover: each replaces a term by one that has the same bits for every input.

One function per rule, its justification in one line; `rule(...)` names the
operations it applies to.  `exact_rules` never change a bit; `order_rules` adds
swapping the operands of commutative operations.
"""
from __future__ import annotations

from migrator.equivalence.proof.rules import (
  boolean,
  broadcasts,
  concatenation,
  constants,
  converts,
  elementwise,
  identities,
  reductions,
  slices,
)
from migrator.equivalence.proof.rules.record import RULES, by_operation, commuted, rule_names
from migrator.equivalence.proof.table import Rule

MODULES = (identities, converts, broadcasts, slices, concatenation, reductions, constants, boolean, elementwise)


def exact_rules(without: frozenset[str] = frozenset()) -> dict[str, tuple[Rule, ...]]:
  """Returns the rules that keep every bit, by operation; `without` leaves some out by name."""
  return by_operation(without)


def order_rules() -> dict[str, tuple[Rule, ...]]:
  """Returns the exact rules and commutation."""
  return commuted(by_operation(frozenset()))


__all__ = ['MODULES', 'RULES', 'exact_rules', 'order_rules', 'rule_names']
