"""Checks that an NNX model computes what the Linen model did: cases, two worker processes, comparison.

`assert_equivalent` compares two live modules, ports made by hand, in one process.
Importing this package imports neither jax nor flax.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.equivalence.cases import Case, CaseError
from migrator.equivalence.ports.errors import AmbiguousMappingError, MappingError
from migrator.equivalence.run import Checker, run_checks
from migrator.equivalence.verdicts import CaseResult, CheckReport, PartResult

if TYPE_CHECKING:
  from migrator.equivalence.ports.assertion import assert_equivalent

__all__ = ['AmbiguousMappingError', 'Case', 'CaseError', 'CaseResult', 'CheckReport', 'Checker', 'MappingError',
           'PartResult', 'assert_equivalent', 'run_checks']


def __getattr__(name: str) -> Any:
  if name != 'assert_equivalent':
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  # It needs jax and flax, which the rest of this package leaves alone until it runs.
  from migrator.equivalence.ports.assertion import assert_equivalent
  return assert_equivalent
