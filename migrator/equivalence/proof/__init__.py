"""Proof that two traced programs compute the same; importing it imports neither jax nor flax."""
from __future__ import annotations

from migrator.equivalence.proof.verdict import ModeProof, ModuleVerdict, OutputVerdict, Verdict

__all__ = ['ModeProof', 'ModuleVerdict', 'OutputVerdict', 'Verdict']
