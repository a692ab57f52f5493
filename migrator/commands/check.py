"""`linen2nnx check`: runs the cases on both sides and says what is equal, and how equal."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.commands.options import PATH, load_manifest, manifest_at, source_root
from migrator.config import read_settings
from migrator.failure import Failure
from migrator.roots import existing, find_roots

if TYPE_CHECKING:
  from migrator.equivalence import Case, CaseResult, CheckReport, PartResult
  from migrator.equivalence.proof import ModeProof
  from migrator.manifest import Manifest

WORST_SHOWN = 5
EPILOG = """\b
Examples:
  linen2nnx check --base HEAD~1                      the Linen source is in an older git revision
  linen2nnx check --linen-root old --nnx-root new    both sources are folders
  linen2nnx check --base main vit_tiny               one case

\b
A case says how to build and call one model; in pyproject.toml:
  [[tool.linen2nnx.cases]]
  name = "mlp"
  model = "zoo.mlp:Mlp"
  arguments = { features = 8 }
  inputs = ["f32[2,4]"]

\b
Exit codes: 0 all equal, 1 differences, 2 failure or nothing could be compared.
"""


@click.command('check', epilog=EPILOG)
@click.argument('names', nargs=-1, metavar='[CASE]...')
@click.option('--manifest', type=PATH, metavar='FILE', help='What `migrate` wrote; default: '
              'linen2nnx-manifest.json in the project folder.')
@click.option('--linen-root', type=PATH, metavar='DIR', help='Folder of the Linen source: what module '
              'names are relative to.')
@click.option('--nnx-root', type=PATH, metavar='DIR', help='The same of the NNX source; default: here.')
@click.option('--base', metavar='REV', help='Git revision with the Linen source, instead of --linen-root.')
@click.option('--cases', type=PATH, metavar='FILE', help='Python or TOML file with the cases; default: '
              '[[tool.linen2nnx.cases]] in pyproject.toml.')
@click.option('--shapes-only', is_flag=True, help='Prove by shapes alone, without weights and numbers: for '
              'models of any size.')
@click.option('--json', 'json_file', type=PATH, metavar='FILE', help='Also write the report as JSON.')
def command(names: tuple[str, ...], manifest: Path | None, linen_root: Path | None, nnx_root: Path | None,
            base: str | None, cases: Path | None, shapes_only: bool, json_file: Path | None) -> int:
  """Prove that the NNX code computes what the Linen code computed.

  Runs the chosen cases (default: all) with the same weights and inputs on both sides: weights, outputs,
  gradients and state are compared.  This runs your code.
  """
  if (linen_root is None) == (base is None):
    raise click.UsageError('give --base REV or --linen-root DIR, to say where the Linen source is')
  folders = [folder for folder in (linen_root, nnx_root) if folder is not None]
  existing(folders)
  project = find_roots(existing([nnx_root or Path()])).project
  settings = read_settings(project)
  found = load_manifest(manifest_at(project, manifest, settings))
  report = _checked(_chosen(cases or project / 'pyproject.toml', names), found, linen_root,
                    nnx_root or source_root(project, found), base, not shapes_only)
  if json_file is not None:
    from migrator.codemod.write import write_files

    write_files({json_file: report.to_json()})
  if report.failure:
    raise Failure(report.failure)
  for line in _lines(report):
    click.echo(line)
  return report.exit_code


def _checked(cases: list[Case], manifest: Manifest, linen_root: Path | None, nnx_root: Path,
             base: str | None, numbers: bool) -> CheckReport:
  from migrator.equivalence import run_checks

  return run_checks(cases, manifest, linen_root, nnx_root, base=base, numbers=numbers)


def _chosen(file: Path, names: tuple[str, ...]) -> list[Case]:
  from migrator.equivalence.case_files import read_cases

  cases = read_cases(file)
  known = {case.name: case for case in cases}
  unknown = next((name for name in names if name not in known), None)
  if unknown is not None:
    raise Failure(f'{file}: no case {unknown}; there are: {", ".join(known)}')
  return [known[name] for name in names] or cases


def _lines(report: CheckReport) -> Iterator[str]:
  for case in report.cases:
    yield from _case(case)
  equal = sum(case.exit_code == 0 for case in report.cases)
  versions = '; '.join(f'{side}: ' + ', '.join(f'{name} {version}' for name, version in found.items())
                       for side, found in report.versions.items())
  yield f'{equal} of {len(report.cases)} cases equal.  {versions}'


def _case(case: CaseResult) -> Iterator[str]:
  yield f'{case.name}  ({case.model})'
  if case.failure:
    yield from _indented('failed: ' + case.failure)
  for proof in case.proofs:
    yield from _proof(proof)
  for part in case.parts:
    yield from _part(part)
  for note in case.notes:
    yield from _indented('note: ' + note)
  yield ''


def _proof(proof: ModeProof) -> Iterator[str]:
  counted = f'{proof.outputs} array{"s" * (proof.outputs != 1)}'
  yield f'  {proof.verdict:<24}  {proof.mode:<12}  {proof.reason or f"{counted}, {proof.shapes}".rstrip(", ")}'
  for module in proof.modules:
    lines = ', '.join(filter(None, (module.linen_line, module.nnx_line)))
    yield f'      {module.place} of {module.linen or "the model"}: {module.verdict}: {module.cause}  {lines}'.rstrip()


def _part(part: PartResult) -> Iterator[str]:
  yield f'  {part.verdict:<12}  {part.name:<20}  {_measure(part)}'.rstrip()
  for leaf in part.worst[:WORST_SHOWN]:
    yield f'      {leaf.path}: {leaf.kind}: {leaf.detail}'.rstrip(': ')
  if len(part.worst) > WORST_SHOWN:
    yield f'      and {len(part.worst) - WORST_SHOWN} more (all of them with --json FILE)'
  for note in part.notes:
    yield f'      note: {note}'


def _measure(part: PartResult) -> str:
  if part.reason:
    return ' '.join(part.reason.split())
  counted = f'{part.leaves} array{"s" * (part.leaves != 1)}'
  if part.verdict == 'bitwise':
    return counted
  needed = 'no tolerance would pass' if part.needed is None else f'passes from tolerance {part.needed:.1e}'
  return f'{counted}, largest difference {part.max_abs:.3g} ({part.max_ulp} ulp), {needed}'


def _indented(text: str) -> Iterator[str]:
  return (f'  {line}' for line in text.splitlines())
