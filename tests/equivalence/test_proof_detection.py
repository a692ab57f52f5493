"""A few of the benchmark's injected changes: each kind is caught and named, a benign rewrite is not flagged."""
from __future__ import annotations

from benchmarks.equivalence.changes import CHANGES, PORTED
from benchmarks.equivalence.detection import findings

CHOSEN = ('other initializer', 'draws of one module shared', 'standard deviation from the variance', 'square as a product',
          'noise first', 'last state missing')


def test_there_are_35_changes_and_6_benign_rewrites():
  assert len(CHANGES) == 41 and sum(change.is_benign for change in CHANGES) == 6
  assert len({change.name for change in CHANGES}) == 41


# Of the public ports: one of weights, of the optimizer, of the keys, of a model that cannot be called.
CHOSEN_PORTED = ('port: zero scale of the last norm lost', 'port: one block too few', 'port: weight decay of biases too',
                 'port: every layer seeded alike', 'port: input not flattened')


def test_mistakes_of_public_ports_are_caught_and_named():
  chosen = [change for change in PORTED if change.name in CHOSEN_PORTED]
  assert len(chosen) == len(CHOSEN_PORTED) and not any(change.is_benign for change in PORTED)
  for finding in findings(chosen):
    assert finding.caught and finding.named, finding


def test_changes_are_caught_and_named():
  chosen = [change for change in CHANGES if change.name in CHOSEN]
  assert len(chosen) == len(CHOSEN)
  for finding in findings(chosen):
    assert finding.caught is not finding.change.is_benign, finding
    assert finding.named is not finding.change.is_benign, finding
