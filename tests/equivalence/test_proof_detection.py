"""A few of the benchmark's injected changes: each kind is caught and named, a benign rewrite is not flagged."""
from __future__ import annotations

from benchmarks.equivalence.changes import CHANGES
from benchmarks.equivalence.detection import findings

CHOSEN = ('other initializer', 'draws of one module shared', 'standard deviation from the variance', 'square as a product',
          'noise first', 'last state missing')


def test_there_are_35_changes_and_6_benign_rewrites():
  assert len(CHANGES) == 41 and sum(change.is_benign for change in CHANGES) == 6
  assert len({change.name for change in CHANGES}) == 41


def test_changes_are_caught_and_named():
  chosen = [change for change in CHANGES if change.name in CHOSEN]
  assert len(chosen) == len(CHOSEN)
  for finding in findings(chosen):
    assert finding.caught is not finding.change.is_benign, finding
    assert finding.named is not finding.change.is_benign, finding
