"""Names of dtypes, told apart without jax."""
from __future__ import annotations


def is_float(name: str) -> bool:
  """Whether a dtype name is one of a real float format, those of eight bits included."""
  return name.startswith(('float', 'bfloat')) and name != 'float0'


def is_complex(name: str) -> bool:
  """Whether a dtype name is one of complex numbers."""
  return name.startswith('complex')
