"""What goes wrong with weights: every message names the leaf paths and the next move."""
from __future__ import annotations

from collections.abc import Sequence


class WeightsError(Exception):
  """Weights cannot be carried over.

  problems: one text per leaf that has no counterpart or another shape or dtype; all of
    them, not only the first.
  """

  def __init__(self, message: str, problems: Sequence[str] = ()):
    self.problems = tuple(problems)
    super().__init__('\n  '.join([message, *self.problems]))


class AmbiguousError(WeightsError):
  """More than one mapping fits what is there; the candidates are listed."""
