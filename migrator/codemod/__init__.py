"""The codemod: facts to plan to text.  Importing it loads neither jax nor flax nor libcst."""
from __future__ import annotations

from typing import Any

from .options import FileChange, MigrationResult, Options


def migrate(*args: Any, **kwargs: Any) -> MigrationResult:
  """See `migrator.codemod.migrate.migrate`."""
  itself = migrate
  from .migrate import migrate as run
  globals()['migrate'] = itself  # importing the submodule has put it in the place of this function
  return run(*args, **kwargs)


__all__ = ['FileChange', 'MigrationResult', 'Options', 'migrate']
