"""Breaking the NNX source on purpose, to learn what the cases of a check are worth."""
from __future__ import annotations

from migrator.equivalence.mutation.run import Survivor, Tried, mutate_checks

__all__ = ['Survivor', 'Tried', 'mutate_checks']
