"""`linen2nnx verify`: finds what a disk did to a checkpoint since it was written."""
from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.options import PATH
from migrator.roots import existing

EPILOG = """\b
Examples:
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json --verify deep
  linen2nnx verify ckpt_nnx/1000

\b
Exit codes: 0 every byte is as it was written, 2 it is not, or there is no list of sums.
"""


@click.command('verify', epilog=EPILOG)
@click.argument('path', metavar='PATH', type=PATH)
def command(path: Path) -> int:
  """Compare a checkpoint with its list of sums.

  Reads every byte of every array and of the index, and names the arrays that changed.  Orbax checks the
  index only: an array with flipped bits is restored with wrong values.
  """
  existing([path])
  from migrator.checkpoints.bitrot import check

  click.echo(f'{path}: every array is as it was written ({check(path.resolve())} bytes read)')
  return 0
