"""A small run of the benchmark of false proofs: a mutant that is proved to be the same has the same bits."""
from __future__ import annotations

from benchmarks.equivalence.soundness import FALSE, IDENTICAL, REFUSED, count_false_proofs


def test_no_mutant_is_proved_falsely():
  tally = count_false_proofs(120, seed=3, models=False, told=lambda words: None)
  assert tally[FALSE] == 0
  # The mutants are no trivial ones, and the prover does not refuse everything.
  assert tally[REFUSED] > 60 and tally[IDENTICAL] > 3
