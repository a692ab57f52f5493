"""Why Linen variables and NNX leaves cannot be brought together; every message names the paths."""
from __future__ import annotations

from collections.abc import Sequence


class MappingError(AssertionError):
  """Leaves without a counterpart, or with another shape, dtype or collection.

  problems: one text per leaf; all of them, not only the first.
  """

  def __init__(self, message: str, problems: Sequence[str] = ()):
    self.problems = tuple(problems)
    super().__init__('\n  '.join([message, *self.problems]))


class AmbiguousMappingError(MappingError):
  """Several mappings fit; the candidates are listed, with a `mapping=` that could be pasted."""
