"""`linen2nnx convert`: a Linen checkpoint becomes one that NNX restores, or the other way round."""
from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator.checkpoints import remote
from migrator.commands.checkpoint_plan import preview
from migrator.commands.options import PATH, load_manifest, source_root
from migrator.failure import Failure
from migrator.roots import existing

if TYPE_CHECKING:
  from migrator.checkpoints.processes import Processes
  from migrator.weights.convert import ConversionReport
  from migrator.weights.sample_call import SampleCall

EPILOG = """\b
Examples:
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json --dry-run
  linen2nnx convert ckpt model.safetensors --step latest --item params --manifest linen2nnx-manifest.json
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json \\
      --model zoo.mlp:Mlp --arguments '{"features": 8, "in_features": 4}'
  linen2nnx convert ckpt/1000 ckpt_nnx/1000 --manifest linen2nnx-manifest.json --dry-run \\
      --rule 'concatenate gru/{ir,iz}/kernel gru/i/kernel -1'
  linen2nnx convert ckpt_nnx/2000 ckpt/2000 --to linen --template ckpt/1000 --manifest linen2nnx-manifest.json

\b
Exit codes: 0 converted, 2 failure (nothing was written).
"""


@click.command('convert', epilog=EPILOG)
@click.argument('source', metavar='IN')
@click.argument('target', metavar='OUT')
@click.option('--manifest', type=PATH, metavar='FILE', required=True, help='What `migrate --write` wrote.')
@click.option('--to', 'side', type=click.Choice(['nnx', 'linen']), default='nnx', help='Which way; default: nnx.')
@click.option('--class', 'class_name', metavar='pkg.mod:Class', help='The class the checkpoint is of; '
              'default: the one that no other class contains.')
@click.option('--layout', type=click.Choice(['auto', 'orbax', 'msgpack', 'safetensors', 'npz']), default='auto',
              help='Of IN; default: found out.')
@click.option('--step', metavar='N', help='Of a folder of steps: a number, or "latest".')
@click.option('--item', metavar='NAME', help='Of a step that holds several items.')
@click.option('--form', type=click.Choice(['orbax', 'orbax-pure', 'msgpack', 'safetensors']),
              help="Of OUT: an nnx.State, or pure dicts; default: by OUT's name, else orbax.")
@click.option('--template', type=PATH, metavar='CKPT', help='With --to linen: a Linen checkpoint of the same run.')
@click.option('--rule', 'rules', multiple=True, metavar='RULE', help='Join, split, transpose, reshape, stack or unstack '
              "arrays of OUT, such as 'transpose mlp/*/kernel 1,0'; may be given again.")
@click.option('--model', metavar='pkg.mod:Class', help='Also compare names, shapes and dtypes with this NNX '
              'model; this imports your code.')
@click.option('--arguments', metavar='JSON', help='Constructor arguments of --model, as a JSON object.')
@click.option('--input', 'inputs', multiple=True, metavar='f32[2,8]', help='An argument of a call of --model, where '
              'a call makes some of its variables; may be repeated.')
@click.option('--call', 'call', metavar='JSON', help='Keywords of that call, as a JSON object.')
@click.option('--rngs', type=int, metavar='SEED', help='Also write the random streams of --model, made with this seed.')
@click.option('--nnx-root', type=PATH, metavar='DIR', help='Folder --model is imported from; default: the '
              'project of the manifest.')
@click.option('--dry-run', is_flag=True, help='Print how each array would come about, and write nothing.')
@click.option('--copy', is_flag=True, help='Share no bytes with IN; else data files are hard links where '
              'they can be.')
@click.option('--verify', type=click.Choice(['index', 'deep']), default='index', help='deep: also read all bytes '
              'back, and write the list of their sums.')
@click.option('--budget', type=click.IntRange(min=16), default=96, show_default=True, metavar='MB',
              help='Memory for arrays that must be computed.')
@click.option('--reencode', is_flag=True, help='Write changed arrays in chunks as a fresh save has them.')
@click.option('--distributed', is_flag=True, help='Run in every process of a job that JAX finds (SLURM, GKE and the like).')
@click.option('--scratch', type=PATH, metavar='DIR', help='Where checkpoints of buckets lie meanwhile; default: the '
              "system's temporary folder.")
def command(source: str, target: str, manifest: Path, side: str, class_name: str | None, template: Path | None,
            model: str | None, arguments: str | None, inputs: tuple[str, ...], call: str | None, rngs: int | None,
            nnx_root: Path | None, dry_run: bool, verify: str, budget: int, distributed: bool, scratch: Path | None,
            **more: Any) -> int:
  """Convert a Linen checkpoint to NNX, or back.

  IN is an Orbax checkpoint of any age, a folder of steps, or a flax msgpack, safetensors or npz file; it is
  only read.  OUT is a new Orbax checkpoint, or a file when its name ends with .msgpack or .safetensors.
  Every array must have its place: one that has none is an error, and nothing is written.

  Arrays that only change their names or are stacked are not read: OUT gets a new index over the same data
  files.  Removing IN or OUT leaves the other whole; --copy keeps them apart on disk too.

  IN and OUT may be in buckets, s3://bucket/path or gs://bucket/path; their bytes pass through this machine.
  """
  if not remote.is_remote(source):
    existing([Path(source)])
  if distributed and (remote.is_remote(source) or remote.is_remote(target)):
    raise click.UsageError('--distributed needs a file system that all processes see; buckets are none')
  # Everything here lives until the end: looking for garbage costs a tenth of the time.
  gc.disable()
  click.get_current_context().call_on_close(gc.enable)
  if arguments is not None and model is None:
    raise click.UsageError('--arguments are those of --model; give --model too')
  if side == 'nnx' and template is not None:
    raise click.UsageError('--template goes with --to linen')
  if side == 'linen' and rngs is not None:
    raise click.UsageError('--rngs goes with --to nnx')
  given = _arguments(arguments)
  found = load_manifest(manifest)
  if model is not None:
    sys.path.insert(0, str(nnx_root or source_root(manifest.resolve().parent, found)))
  from migrator.weights.convert import Options, convert, convert_back

  processes = _processes(distributed)
  options = Options(processes=processes, deep=verify == 'deep', dry=dry_run, budget=budget << 20, **more)
  with remote.fetched(source, scratch) as place, remote.sent(target, scratch) as made:
    if side == 'linen':
      report = convert_back(place.resolve(), made.absolute(), found, class_name, template=template, model=model,
                            arguments=given, options=options)
    else:
      report = convert(place.resolve(), made.absolute(), found, class_name, model=model, arguments=given, rngs=rngs,
                       sample=_sample(inputs, call), options=options)
  for line in preview(report) if dry_run and processes.is_first else ():
    click.echo(line)
  if not dry_run and processes.is_first:
    _print(report, target)
  return 0


def _processes(distributed: bool) -> Processes:
  from migrator.checkpoints.processes import ALONE, JaxProcesses
  return JaxProcesses() if distributed else ALONE


def _arguments(text: str | None, option: str = '--arguments') -> dict[str, Any]:
  try:
    given = json.loads(text or '{}')
  except ValueError as error:
    raise Failure(f'{option}: no JSON ({error}); write it like \'{{"features": 8}}\'') from error
  if not isinstance(given, dict):
    raise Failure(f'{option}: give a JSON object, like \'{{"features": 8}}\'')
  return given


def _sample(inputs: tuple[str, ...], call: str | None) -> SampleCall | None:
  if not inputs and call is None:
    return None
  import jax

  from migrator.equivalence.inputs import ArraySpec, parse_spec
  from migrator.weights.sample_call import SampleCall
  arrays = []
  for text in inputs:
    spec = parse_spec(text)
    if not isinstance(spec, ArraySpec):
      raise Failure(f'--input {text!r}: give a type and a shape, like f32[2,8]')
    arrays.append(jax.ShapeDtypeStruct(spec.shape, spec.dtype))
  return SampleCall(tuple(arrays), _arguments(call, '--call'))


def _print(report: ConversionReport, target: str) -> None:
  compared = 'compared with the model' if report.checked else 'not compared with a model'
  click.echo(f'{target}: {report.kind} of {report.class_name}, from {report.layout}; '
             f'{report.arrays} arrays, {report.size} bytes, {compared}')
  click.echo(report.written.told())
  for note in report.notes:
    click.echo(f'note: {note}')
  click.echo('Restore it with:')
  for line in report.restore.splitlines():
    click.echo(f'  {line}')
