"""`linen2nnx convert`: a Linen checkpoint becomes one that NNX restores."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator.commands.checkpoint_plan import preview
from migrator.commands.options import PATH, load_manifest, source_root
from migrator.failure import Failure
from migrator.roots import existing

if TYPE_CHECKING:
  from migrator.weights.convert import ConversionReport

EPILOG = """\b
Examples:
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json --dry-run
  linen2nnx convert model.msgpack model_nnx.msgpack --manifest linen2nnx-manifest.json
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json \\
      --model zoo.mlp:Mlp --arguments '{"features": 8, "in_features": 4}'

\b
Exit codes: 0 converted, 2 failure (nothing was written).
"""


@click.command('convert', epilog=EPILOG)
@click.argument('source', metavar='IN', type=PATH)
@click.argument('target', metavar='OUT', type=PATH)
@click.option('--manifest', type=PATH, metavar='FILE', required=True, help='What `migrate --write` wrote.')
@click.option('--class', 'class_name', metavar='pkg.mod:Class', help='The class the checkpoint is of; '
              'default: the one that no other class contains.')
@click.option('--layout', type=click.Choice(['auto', 'orbax', 'msgpack']), default='auto', help='Of IN; '
              'default: found out.')
@click.option('--model', metavar='pkg.mod:Class', help='Also compare names, shapes and dtypes with this NNX '
              'model; this imports your code.')
@click.option('--arguments', metavar='JSON', help='Constructor arguments of --model, as a JSON object.')
@click.option('--dry-run', is_flag=True, help='Print how each array would come about, and write nothing.')
@click.option('--copy', is_flag=True, help='Share no bytes with IN; else data files are hard links where '
              'they can be.')
@click.option('--verify', type=click.Choice(['index', 'deep']), default='index', show_default=True,
              help='deep: read every byte back, and write the list of sums that `linen2nnx verify` compares.')
@click.option('--budget', type=click.IntRange(min=16), default=128, show_default=True, metavar='MB',
              help='Memory for arrays that must be computed.')
@click.option('--nnx-root', type=PATH, metavar='DIR', help='Folder --model is imported from; default: the '
              'project of the manifest.')
def command(source: Path, target: Path, manifest: Path, class_name: str | None, layout: str,
            model: str | None, arguments: str | None, nnx_root: Path | None, dry_run: bool, copy: bool,
            verify: str, budget: int) -> int:
  """Convert a Linen checkpoint to NNX.

  IN is an Orbax checkpoint, a step folder of a CheckpointManager, or a flax msgpack file; it is only read.
  OUT is a new Orbax checkpoint, or a msgpack file when its name ends with .msgpack.  Every array must have
  its place: one that has none is an error, and nothing is written.

  Arrays that only change their names or are stacked are not read: OUT gets a new index over the same data
  files.  Removing IN or OUT leaves the other whole; --copy keeps them apart on disk too.
  """
  existing([source])
  if arguments is not None and model is None:
    raise click.UsageError('--arguments are those of --model; give --model too')
  given = _arguments(arguments)
  found = load_manifest(manifest)
  if model is not None:
    sys.path.insert(0, str(nnx_root or source_root(manifest.resolve().parent, found)))
  from migrator.weights import convert as converting

  if dry_run:
    layout, planned = converting.planned_for(source.resolve(), found, class_name, layout=layout, model=model,
                                             arguments=given)
    for line in preview(planned, target):
      click.echo(line)
    return 0
  report = converting.convert(source.resolve(), target.absolute(), found, class_name, layout=layout, model=model,
                              arguments=given, copy=copy, deep=verify == 'deep', budget=budget << 20)
  _print(report, target)
  return 0


def _arguments(text: str | None) -> dict[str, Any]:
  try:
    given = json.loads(text or '{}')
  except ValueError as error:
    raise Failure(f'--arguments: no JSON ({error}); write it like \'{{"features": 8}}\'') from error
  if not isinstance(given, dict):
    raise Failure('--arguments: give a JSON object, like \'{"features": 8}\'')
  return given


def _print(report: ConversionReport, target: Path) -> None:
  compared = 'compared with the model' if report.checked else 'not compared with a model'
  click.echo(f'{target}: {report.kind} of {report.class_name}, from {report.layout}; '
             f'{report.arrays} arrays, {report.size} bytes, {compared}')
  click.echo(report.written.told())
  for note in report.notes:
    click.echo(f'note: {note}')
  click.echo('Restore it with:')
  for line in report.restore.splitlines():
    click.echo(f'  {line}')
