"""The table of what is proved of each layer is whole, and says what the prover says today."""

from __future__ import annotations

import pytest

from benchmarks.compatibility.judge import judge, samples, versions
from migrator.equivalence.proof import Verdict
from rewrites.compatibility import rows_of, table

MODES = {'eval', 'eval state', 'gradient', 'init', 'not proved'}
# One sample of each kind of layer that is quick to prove; all of them: python -m benchmarks.compatibility.
JUDGED = ('flax.linen.Dense', 'flax.linen.Embed', 'flax.linen.LayerNorm', 'flax.linen.BatchNorm')


def test_every_sample_has_a_row_and_every_row_a_sample():
  assert list(table()) == [row for row, _, _ in samples()], 'run python -m benchmarks.compatibility'


def test_every_row_has_the_same_versions_and_known_verdicts():
  columns = {tuple(cells) for cells in table().values()}
  assert len(columns) == 1
  found = [verdict for cells in table().values() for cell in cells.values()
           for mode, verdict in cell.items() if mode != 'not proved']
  assert set(found) <= set(map(str, Verdict))
  assert {mode for cells in table().values() for cell in cells.values() for mode in cell} <= MODES


def test_no_native_layer_computes_something_else():
  """A record whose layer is no counterpart at all would say 'differs'."""
  wrong = [(row, column) for row, cells in table().items() for column, cell in cells.items()
           if cell.get('eval') == Verdict.DIFFERS]
  assert wrong == []


@pytest.mark.parametrize('layer', JUDGED)
def test_the_prover_says_what_the_table_says(layer):
  if versions() not in next(iter(table().values())):
    pytest.skip(f'the table has no column for {versions()}; python -m benchmarks.compatibility adds it')
  row, sample = next((row, sample) for row, record, sample in samples() if record.linen[0] == layer)
  assert judge(sample) == rows_of(layer)[row][versions()]
