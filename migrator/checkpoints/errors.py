"""What is wrong with a checkpoint; the message names the file or the leaf, and the next move."""
from __future__ import annotations

from migrator.weights.errors import WeightsError

DAMAGED = 'the checkpoint is damaged or incomplete; take another copy or another step'


class CheckpointError(WeightsError):
  """A checkpoint cannot be read, converted or trusted.  problems: one text per leaf."""
