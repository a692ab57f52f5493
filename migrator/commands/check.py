"""`linen2nnx check`: runs the cases on both sides and says what is equal, and how equal."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.commands.options import PATH, load_manifest, manifest_at, source_root
from migrator.config import read_settings
from migrator.failure import Failure
from migrator.roots import existing, find_roots

if TYPE_CHECKING:
  from migrator.commands.sources import Files
  from migrator.equivalence import Case, CheckReport
  from migrator.manifest import Manifest

FORMATS = ('text', 'github', 'json')
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
@click.option('--mutate', 'mistakes', type=click.IntRange(1), is_flag=False, flag_value=30, metavar='N',
              help='Break the NNX source in N ways (30), one at a time, and say which the cases would see.')
@click.option('--json', 'json_file', type=PATH, metavar='FILE', help='Also write the report as JSON.')
@click.option('--html', 'html_file', type=PATH, metavar='FILE',
              help='Also write the report as one HTML page, with both sources.')
@click.option('--certificate', type=PATH, metavar='FILE',
              help='Cases this file certifies are only traced and hashed, unless something changed; then it is '
              'written anew.')
@click.option('--format', 'shown_as', type=click.Choice(FORMATS), default='text', show_default=True,
              help="What is printed: 'github' adds annotations at the lines of the NNX source.")
def command(names: tuple[str, ...], manifest: Path | None, linen_root: Path | None, nnx_root: Path | None,
            base: str | None, cases: Path | None, shapes_only: bool, mistakes: int | None, json_file: Path | None,
            html_file: Path | None, certificate: Path | None, shown_as: str) -> int:
  """Prove that the NNX code computes what the Linen code computed.

  Both sides of the chosen cases (default: all) are traced and proved equal, mode by mode; then numbers
  with random weights are compared.  This runs your code.
  """
  if (linen_root is None) == (base is None):
    raise click.UsageError('give --base REV or --linen-root DIR, to say where the Linen source is')
  folders = [folder for folder in (linen_root, nnx_root) if folder is not None]
  existing(folders)
  project = find_roots(existing([nnx_root or Path()])).project
  settings = read_settings(project)
  found = load_manifest(manifest_at(project, manifest, settings))
  chosen, root = _chosen(cases or project / 'pyproject.toml', names), nnx_root or source_root(project, found)
  if mistakes is not None:
    from migrator.commands.mutate import mutate

    return mutate(chosen, found, linen_root, root, base, mistakes)
  report, sources = _checked(chosen, found, linen_root, root, base, certificate, html_file is not None,
                              not shapes_only)
  _write(report, json_file, html_file, sources)
  _show(report, shown_as, _prefix(root))
  return report.exit_code


def _checked(cases: list[Case], manifest: Manifest, linen_root: Path | None, nnx_root: Path, base: str | None,
             certificate: Path | None, wants_sources: bool, numbers: bool) -> tuple[CheckReport, Mapping[str, Files]]:
  """Returns the report, and both sources of every case while the old revision is there."""
  from migrator.commands.progress import shown
  from migrator.commands.sources import read_sources
  from migrator.equivalence import run_checks

  found: dict[str, Files] = {}
  with shown(len(cases)) as watcher:
    if wants_sources:
      watcher.roots = lambda linen, nnx: found.update(  # type: ignore[method-assign]
        read_sources(cases, manifest, linen, nnx))
    report = run_checks(cases, manifest, linen_root, nnx_root, base=base, watcher=watcher, certificate=certificate,
                        numbers=numbers)
  return report, found


def _write(report: CheckReport, json_file: Path | None, html_file: Path | None,
           sources: Mapping[str, Files]) -> None:
  from migrator.codemod.write import write_files
  from migrator.report.check.html import report_html

  files = {}
  if json_file is not None:
    files[json_file] = report.to_json()
  if html_file is not None:
    files[html_file] = report_html(report.to_document(), sources)
  if files:
    write_files(files)


def _show(report: CheckReport, shown_as: str, prefix: str) -> None:
  """Prints the report.

  Raises:
    Failure: nothing could be run; the JSON and the annotations say so too.
  """
  from migrator.report.check.github import workflow_commands
  from migrator.report.check.text import report_lines

  document = report.to_document()
  if shown_as == 'json':
    click.echo(report.to_json(), nl=False)
  elif not report.failure:
    for line in report_lines(document):
      click.echo(line)
  if shown_as == 'github':
    for line in workflow_commands(document, prefix):
      click.echo(line)
  if report.failure:
    raise Failure(report.failure)


def _prefix(nnx_root: Path) -> str:
  """Returns what leads from the repository (the current folder, as CI has it) to the NNX source."""
  root, here = nnx_root.resolve(), Path.cwd()
  inside = root.relative_to(here).as_posix() if root.is_relative_to(here) else '.'
  return '' if inside == '.' else f'{inside}/'


def _chosen(file: Path, names: tuple[str, ...]) -> list[Case]:
  from migrator.equivalence.case_files import read_cases

  cases = read_cases(file)
  known = {case.name: case for case in cases}
  unknown = next((name for name in names if name not in known), None)
  if unknown is not None:
    raise Failure(f'{file}: no case {unknown}; there are: {", ".join(known)}')
  return [known[name] for name in names] or cases
