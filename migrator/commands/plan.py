"""`linen2nnx plan`: what a migration would make of each file and class; nothing is written."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from migrator.commands.migrate import merged_options, migrated, source_prefix
from migrator.commands.options import PATH
from migrator.config import CHOICES, read_settings
from migrator.roots import existing, find_roots

EPILOG = """\b
Examples:
  linen2nnx plan .                          what would become of each file, and why
  linen2nnx plan src/zoo --classes          each class, too
  linen2nnx plan . --format json            all of it for a program
  linen2nnx plan . --ignore 'legacy.*:*'    without some classes

\b
Exit codes: 0 all of it would be native, 1 something would need a look, 2 a file cannot be read.
"""


@click.command('plan', epilog=EPILOG)
@click.argument('paths', nargs=-1, required=True, metavar='PATH...', type=click.Path())
@click.option('--root', type=PATH, help='Project folder; default as for `migrate`.')
@click.option('--classes', 'with_classes', is_flag=True, help='List every class with its reasons.')
@click.option('--format', 'shown_as', type=click.Choice(('text', 'json')), default='text', show_default=True)
@click.option('--mode', type=click.Choice(CHOICES['mode']), help='As for `migrate`.')
@click.option('--names', type=click.Choice(CHOICES['names']), help='As for `migrate`.')
@click.option('--numerics', type=click.Choice(CHOICES['numerics']), help='As for `migrate`.')
@click.option('-j', '--jobs', type=click.IntRange(min=1), metavar='N', help='Number of processes; default 1.')
@click.option('--select', multiple=True, metavar='LIST', help='As for `migrate`.')
@click.option('--ignore', multiple=True, metavar='LIST', help='As for `migrate`.')
def command(paths: tuple[str, ...], root: Path | None, with_classes: bool, shown_as: str, **chosen: Any) -> int:
  """Show what `migrate` would do: inventory, difficulty, and what is left to do by hand.

  Nothing is written, and no code of yours is run.
  """
  from migrator.report.plan import plan_json, plan_of
  from migrator.report.plan_table import print_plan
  from migrator.report.terminal import make_console

  found = existing([Path(path) for path in paths])
  roots = find_roots(found, root)
  options, hidden = merged_options(chosen, read_settings(roots.project))
  result = migrated(found, roots, options)
  result.hidden = hidden
  plan = plan_of(result, result.manifest, source_prefix(roots))
  if shown_as == 'json':
    click.echo(plan_json(plan, options), nl=False)
  else:
    print_plan(make_console(), plan, with_classes)
  return plan.exit_code
