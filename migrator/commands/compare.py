"""`linen2nnx compare`: what differs between two checkpoints of any layouts."""
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.commands.options import PATH, load_manifest
from migrator.roots import existing

if TYPE_CHECKING:
  from migrator.weights.compare import Comparison

EPILOG = """\b
Examples:
  linen2nnx compare ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json
  linen2nnx compare a.msgpack b.safetensors
  linen2nnx compare run_a run_b --step latest --tolerance 1e-6

\b
Exit codes: 0 the same, 1 differences, 2 failure.
"""


@click.command('compare', epilog=EPILOG)
@click.argument('a', type=PATH)
@click.argument('b', type=PATH)
@click.option('--manifest', type=PATH, metavar='FILE', help='Needed where one is Linen and the other NNX.')
@click.option('--class', 'class_name', metavar='pkg.mod:Class', help='The class the checkpoints are of; '
              'default: the one that no other class contains.')
@click.option('--step', metavar='N', help='Of folders of steps, in both: a number, or "latest".')
@click.option('--item', metavar='NAME', help='Of steps that hold several items, in both.')
@click.option('--rule', 'rules', multiple=True, metavar='RULE', help='As given to `convert`.')
@click.option('--structure', is_flag=True, help='Names, shapes and dtypes only; reads no array.')
@click.option('--tolerance', type=click.FloatRange(min=0), default=0.0, metavar='X',
              help='Differences up to X of the largest value of an array are none; default: 0, bit by bit.')
@click.option('--top', type=click.IntRange(min=1), default=20, show_default=True, help='How many to list.')
@click.option('--json', 'as_json', is_flag=True, help='Print all of it as JSON.')
def command(a: Path, b: Path, manifest: Path | None, class_name: str | None, step: str | None, item: str | None,
            rules: tuple[str, ...], structure: bool, tolerance: float, top: int,
            as_json: bool) -> int:
  """Compare two checkpoints: structure first, then values, the largest differences first.

  A and B may have any layout that `convert` reads, and may be Linen or NNX; names are joined through the
  manifest.  Arrays that are the same bytes of the same files are not read.
  """
  existing([a, b])
  found = load_manifest(manifest) if manifest is not None else None
  from migrator.checkpoints.layouts import open_checkpoint
  from migrator.weights import compare as comparing

  def opened(path: Path) -> comparing.Checkpoint:
    from migrator.checkpoints.layouts import steps
    is_item = path.is_file() or not steps.steps_in(path)
    return open_checkpoint(path.resolve(), step=None if is_item else step, item=None if path.is_file() else item)

  report = comparing.compare(opened(a), opened(b), found, class_name, rules=rules, values=not structure,
                             tolerance=tolerance)
  if as_json:
    click.echo(json.dumps(comparing.as_data(report), indent=2))
  else:
    _print(report, top, structure)
  return 1 if report.differences else 0


def _print(report: Comparison, top: int, structure: bool) -> None:
  read = 'not read' if structure else f'{report.linked} of them the same bytes of the same files'
  click.echo(f'{report.arrays} arrays on both sides, compared {report.how}; {read}')
  for note in report.notes:
    click.echo(f'note: {note}')
  for found in report.differences[:top]:
    size = f'; largest {found.largest:.3g}, relative {found.relative:.3g}' if found.kind == 'values' else ''
    click.echo(f'{found.kind:10}{found.path}: {found.text}{size}')
  if len(report.differences) > top:
    click.echo(f'... and {len(report.differences) - top} more (--top, --json)')
  click.echo(f'{len(report.differences)} differences' if report.differences else 'no differences')
