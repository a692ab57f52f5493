"""The command line: one group, one file per command in `migrator/commands`."""
from __future__ import annotations

import click


@click.group()
def main() -> None:
  """Migrate Flax Linen code and checkpoints to Flax NNX, with proof that nothing changed."""
