"""The command line: one group, one file per command in `migrator/commands`.

Nothing heavy is imported here, and a command's module only when that command is asked for, so that
`--help`, `--version` and shell completion answer at once.
"""
from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from migrator import __version__
from migrator.failure import Failure

CLEAN, FINDINGS, FAILURE = 0, 1, 2

# Name -> the line that `linen2nnx --help` shows; the module is `migrator.commands.<name>`.
COMMANDS = {
  'plan': 'Show what a migration would make of each file and class; nothing is written.',
  'migrate': 'Rewrite Linen source files to NNX (shows a diff; --write applies it).',
  'convert': 'Convert a Linen checkpoint to NNX with the manifest.',
  'verify': 'Compare a converted checkpoint with its list of sums.',
  'compare': 'Compare two checkpoints of any layouts.',
  'check': 'Prove that the NNX code computes what the Linen code computed.',
  'record': 'Run a command and write the Linen models it calls as cases for `check`.',
  'rules': 'List what is known of each Linen layer and function.',
  'completion': 'Print the set-up for completion in bash, zsh or fish.',
}

VERSIONS_SHOWN = ('flax', 'jax', 'libcst', 'orbax-checkpoint')

EPILOG = """\b
Examples:
  linen2nnx plan .                           what a migration would make of it
  linen2nnx migrate src/                     show what would change
  linen2nnx migrate src/ --write             change it, and write the manifest
  linen2nnx convert ckpt/ ckpt_nnx/ --manifest linen2nnx-manifest.json
  linen2nnx check --base main                prove it against the old revision

\b
Exit codes: 0 clean, 1 findings to look at, 2 failure (nothing was written).
"""


class _Commands(click.Group):
  """Loads a command's module when the command is asked for."""

  def list_commands(self, ctx: click.Context) -> list[str]:
    return list(COMMANDS)

  def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
    if cmd_name not in COMMANDS:
      return None
    module = importlib.import_module(f'migrator.commands.{cmd_name}')
    command: click.Command = module.command
    return command

  def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    with formatter.section('Commands'):
      formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
  if not value or ctx.resilient_parsing:
    return
  from importlib import metadata

  parts = [f'Python {sys.version.split()[0]}']
  for name in VERSIONS_SHOWN:
    try:
      parts.append(f'{name} {metadata.version(name)}')
    except metadata.PackageNotFoundError:
      parts.append(f'{name} not installed')
  click.echo(f'linen2nnx {__version__} ({", ".join(parts)})')
  ctx.exit()


@click.group(cls=_Commands, epilog=EPILOG, context_settings={'help_option_names': ['-h', '--help']})
@click.option('--version', is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
              help='Show the versions of linen2nnx and of the libraries it uses.')
@click.option('--debug', is_flag=True, help='Show the traceback of an unexpected error.')
def group(debug: bool) -> None:
  """Migrate Flax Linen code and checkpoints to Flax NNX, with proof that nothing changed."""


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs the command line and exits: 0 clean, 1 findings, 2 failure.

  Args:
    arguments: command-line words without the program name; those of the process when None.
  """
  words = list(sys.argv[1:] if arguments is None else arguments)
  # Accepted before and after the command's name.
  debug = '--debug' in words
  words = [word for word in words if word != '--debug']
  sys.exit(_run(words, debug))


def _run(words: list[str], debug: bool) -> int:
  try:
    code = group.main(words, prog_name='linen2nnx', standalone_mode=False)
    return code if isinstance(code, int) else CLEAN
  except click.exceptions.NoArgsIsHelpError as error:
    click.echo(error.ctx.get_help() if error.ctx else error.format_message())
    return FAILURE
  except click.ClickException as error:
    _complain(_usage(error))
    return FAILURE
  except (click.Abort, KeyboardInterrupt):
    _complain('interrupted; nothing was written')
    return FAILURE
  except BrokenPipeError:
    # The reader went away, as in `| head`; what is still buffered must not raise once more at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE
  except Exception as error:
    if debug:
      import traceback
      traceback.print_exc()
    _complain(describe(error))
    return FAILURE


def describe(error: Exception) -> str:
  """Returns the one line about an error: its own words when it is ours or the system's, else a hint."""
  if isinstance(error, Failure) or _is_ours(type(error)):
    return _one_line(error)
  if isinstance(error, OSError) and error.filename is not None:
    return f'{error.filename}: {error.strerror or _one_line(error)}'
  kind = type(error).__name__
  return f'internal error ({kind}: {_one_line(error)}); run with --debug for the traceback'


def _is_ours(kind: type[Any]) -> bool:
  """Errors defined in this project are written for the user."""
  return kind.__module__.split('.')[0] in ('migrator', 'rewrites')


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())


def _usage(error: click.ClickException) -> str:
  context = getattr(error, 'ctx', None)
  hint = f" (see '{context.command_path} --help')" if context is not None else ''
  return ' '.join(error.format_message().split()) + hint


def _complain(line: str) -> None:
  click.echo(f'linen2nnx: {line}', err=True)
