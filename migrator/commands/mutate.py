"""`linen2nnx check --mutate`: breaks the NNX source on purpose, and says which mistakes the cases would see."""
from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.failure import Failure

if TYPE_CHECKING:
  from migrator.equivalence import Case
  from migrator.manifest import Manifest


def mutate(cases: list[Case], manifest: Manifest, linen_root: Path | None, nnx_root: Path, base: str | None,
           count: int) -> int:
  """Tries mistakes and prints each; returns 0 when all are caught, 1 when some are not.

  Raises:
    Failure: a case is not equal to begin with, or nothing can be broken.
  """
  from migrator.equivalence.base import revision
  from migrator.equivalence.mutation import mutate_checks
  from migrator.equivalence.mutation.edits import Edit

  if not cases:
    raise Failure('there are no cases to check; write one under [[tool.linen2nnx.cases]]')

  def told(file: str, line: int, edit: Edit, caught: bool) -> None:
    click.echo(f'  {"caught" if caught else "NOT CAUGHT":<10}  {file}:{line}  {edit.what}')

  source = contextlib.nullcontext(linen_root) if base is None else revision(nnx_root, base)
  with source as linen:
    found = mutate_checks(cases, manifest, linen or nnx_root, nnx_root, count, told)
  click.echo(f'{found.caught} of {found.tried} mistakes caught by {len(cases)} case{"s" * (len(cases) != 1)} '
             f'({found.broken} of them because the model no longer ran)')
  if found.survivors:
    click.echo('A mistake that is not caught is in code that no case runs, or in a mode that no case has: add a case, '
               'or give train, rngs or mutable.')
  return int(bool(found.survivors))
