"""`linen2nnx completion`: what a shell needs to complete commands, options and file names."""
from __future__ import annotations

import click

SHELLS = ('bash', 'zsh', 'fish')
EPILOG = """\b
Examples:
  linen2nnx completion bash >> ~/.bashrc
  linen2nnx completion zsh  >> ~/.zshrc
  linen2nnx completion fish > ~/.config/fish/completions/linen2nnx.fish

Start a new shell afterwards.
"""


@click.command('completion', epilog=EPILOG)
@click.argument('shell', type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> int:
  """Print the completion set-up for a shell; put it where your shell reads it."""
  from click.shell_completion import get_completion_class

  kind = get_completion_class(shell)
  if kind is None:
    raise click.UsageError(f'no completion for {shell}')
  click.echo(kind(context.find_root().command, {}, 'linen2nnx', '_LINEN2NNX_COMPLETE').source())
  return 0
