"""Checks that an NNX model computes what the Linen model did: cases, two worker processes, comparison.

The proof of equality, once written, is one more kind of part beside the numbers here.
Importing this package imports neither jax nor flax.
"""
from __future__ import annotations

from migrator.equivalence.cases import Case, CaseError
from migrator.equivalence.run import Checker, run_checks
from migrator.equivalence.verdicts import CaseResult, CheckReport, PartResult

__all__ = ['Case', 'CaseError', 'CaseResult', 'CheckReport', 'Checker', 'PartResult', 'run_checks']
