"""`linen2nnx migrate`: shows, or writes, the NNX form of Linen source files."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator.commands.options import PATH, manifest_at, selected
from migrator.config import CHOICES, Settings, read_settings
from migrator.failure import Failure
from migrator.roots import Roots, existing, find_roots

if TYPE_CHECKING:
  from migrator.codemod import MigrationResult
  from migrator.manifest import Manifest
  from migrator.report.findings import ClassReport

EPILOG = """\b
Examples:
  linen2nnx migrate src/                         show the diff and the findings, write nothing
  linen2nnx migrate src/ --write                 rewrite in place, all files or none
  linen2nnx migrate src/ --out ../ported         leave src/ alone, write a migrated copy
  linen2nnx migrate models/vit.py:ViT --explain  where each size and name of ViT comes from

\b
Exit codes: 0 clean, 1 findings to look at, 2 failure (nothing was written).
"""


@dataclasses.dataclass(frozen=True)
class _Request:
  """What the user asked for, with the settings of the project filled in."""

  paths: list[Path]
  roots: Roots
  options: dict[str, Any]
  hidden: frozenset[str]
  manifest: Path
  report: Path | None
  write: bool
  out: Path | None
  allow_dirty: bool


@click.command('migrate', epilog=EPILOG)
@click.argument('paths', nargs=-1, required=True, metavar='PATH...', type=click.Path())
@click.option('--root', type=PATH, help='Project folder; default: the nearest one above with a '
              'pyproject.toml, setup.py or .git, else the folder that holds the topmost package.')
@click.option('--write', is_flag=True, help='Write the files in place, all or none, and the manifest.')
@click.option('--out', type=PATH, metavar='DIR', help='Write a migrated copy of PATH... to a new folder.')
@click.option('--report', type=PATH, metavar='FILE', help='Also write the report as JSON.')
@click.option('--manifest', type=PATH, metavar='FILE', help='Where the manifest goes; default: '
              'linen2nnx-manifest.json in the project folder (in DIR with --out).')
@click.option('--allow-dirty', is_flag=True, help='Write even if git has uncommitted changes under PATH...')
@click.option('--mode', type=click.Choice(CHOICES['mode']), help='How train-mode flags are written: '
              'argument (default) keeps them as arguments of the call; module: layers follow model.train() and '
              'model.eval().')
@click.option('--names', type=click.Choice(CHOICES['names']), help='Names of submodules: idiomatic '
              '(linear1; the default) or as Linen numbers them (Dense_0).')
@click.option('--numerics', type=click.Choice(CHOICES['numerics']), help='idiomatic (default): NNX layers, '
              'a few of which round in another order than Linen; exact: add helpers that give the same bits.')
@click.option('--select', multiple=True, metavar='LIST', help='Migrate only the classes that match (ViT, zoo.vit:*, '
              '*Block); with codes of findings, show only those.  May be repeated; commas separate.')
@click.option('--ignore', multiple=True, metavar='LIST', help='Leave the classes that match as they are; with codes '
              'of findings, neither show nor count those.')
@click.option('-j', '--jobs', type=click.IntRange(min=1), metavar='N', help='Number of processes; default 1.')
@click.option('--explain', is_flag=True, help='PATH is file.py:Class; tell where its sizes come from.')
def command(paths: tuple[str, ...], root: Path | None, write: bool, out: Path | None, report: Path | None,
            manifest: Path | None, allow_dirty: bool, explain: bool, **chosen: Any) -> int:
  """Rewrite Linen source files to NNX.

  PATH... are Python files and folders.  Without --write or --out nothing is written: the diff and the
  findings are shown.  No code of yours is run.
  """
  if write and out is not None:
    raise click.UsageError('--write and --out exclude each other: in place, or a copy')
  if explain:
    return _explain(paths, root, chosen)
  found = existing([Path(path) for path in paths])
  roots = find_roots(found, root)
  settings = read_settings(roots.project)
  options, hidden = merged_options(chosen, settings)
  place = manifest_at(roots.project, manifest, settings, out)
  request = _Request(found, roots, options, hidden, place, report, write, out, allow_dirty)
  _refuse_early(request)
  return _run(request)


def merged_options(chosen: dict[str, Any], settings: Settings) -> tuple[dict[str, Any], frozenset[str]]:
  """Returns the options of a run, those chosen or else those of the project, and the codes that are not shown."""
  given = {key: getattr(settings, key) if value in (None, ()) else value for key, value in chosen.items()}
  return selected(given)


def _refuse_early(request: _Request) -> None:
  """What can be refused without reading a single file is refused first."""
  from migrator.codemod.copy_tree import refuse_occupied
  from migrator.codemod.git import git_dirty

  if request.out is not None:
    refuse_occupied(request.out)
  if not request.write or request.allow_dirty:
    return
  if git_dirty(request.roots.project, request.paths) is None:
    click.echo(f'linen2nnx: {request.roots.project} is in no git repository; '
               'there will be no diff to go back by', err=True)
    return
  _refuse_dirty(request, request.paths)


def _refuse_dirty(request: _Request, paths: Sequence[Path]) -> None:
  from migrator.codemod.git import git_dirty

  dirty = git_dirty(request.roots.project, paths) if paths else None
  if dirty:
    more = f' and {len(dirty) - 1} more' if len(dirty) > 1 else ''
    raise Failure(f'{dirty[0]}{more}: not committed in git; commit first, or give --allow-dirty')


def migrated(paths: list[Path], roots: Roots, options: dict[str, Any], inside: bool = False) -> MigrationResult:
  """Migrates; `inside`: files outside of the source folder are not looked at."""
  from migrator.codemod import Options, migrate

  callers = [roots.source] if inside and roots.certain else roots.callers(paths)
  return migrate(paths, roots.source, Options(**options), callers)


def _run(request: _Request) -> int:
  from migrator.report.result import all_findings, exit_code
  from migrator.report.terminal import make_console, print_diff, print_findings, print_summary

  result = migrated(request.paths, request.roots, request.options, request.out is not None)
  result.hidden = request.hidden
  code = exit_code(result)
  writes = (request.write or request.out is not None) and code != 2
  if writes and request.write and not request.allow_dirty:
    _refuse_dirty(request, [change.path for change in result.files if change.before])
  texts = _texts(request, result, writes)
  _store(request, result, texts, writes)
  console = make_console()
  if not (request.write or request.out):
    print_diff(console, result.files, request.roots.project)
  print_findings(console, [finding for finding in all_findings(result) if finding not in result.errors],
                 source_prefix(request.roots))
  print_summary(console, result, _next_move(request, result, writes))
  for error in result.errors:
    click.echo(f'linen2nnx: {source_prefix(request.roots)}{error.file}:{error.line}: {error.message}', err=True)
  return code


def _texts(request: _Request, result: MigrationResult, writes: bool) -> dict[Path, str]:
  """The files a run leaves besides the migrated ones: the manifest and the report."""
  from migrator.report.json_report import report_json

  texts = {}
  if writes:
    merged = _merged_manifest(request, result)
    if merged is not None:
      texts[request.manifest] = merged.to_json()
  if request.report is not None:
    texts[request.report] = report_json(result, request.roots.source, request.roots.project,
                                        request.options, writes)
  return texts


def _merged_manifest(request: _Request, result: MigrationResult) -> Manifest | None:
  """Classes of earlier runs stay in the manifest: what is NNX already is no longer seen as Linen."""
  from migrator.commands.options import load_manifest

  new = result.manifest
  if not request.manifest.exists():
    return new if new.classes else None
  old = load_manifest(request.manifest)
  # Classes that are NNX already and use it are no longer seen.
  used = {name: dataclasses.replace(entry, outcome='bridged') for name, entry in new.classes.items()
          if entry.outcome == 'left' and name in old.classes and old.classes[name].outcome == 'bridged'}
  return dataclasses.replace(new, classes={**old.classes, **new.classes, **used})


def _store(request: _Request, result: MigrationResult, texts: dict[Path, str], writes: bool) -> None:
  from migrator.codemod.copy_tree import copy_migrated
  from migrator.codemod.write import write_files

  after = {change.path: change.after for change in result.files}
  if not writes:
    write_files(texts)
  elif request.out is None:
    write_files({**after, **texts}, {change.path: change.before for change in result.files})
  else:
    inside = {file for file in texts if file.is_relative_to(request.out)}
    added = {request.roots.source / file.relative_to(request.out): texts[file] for file in inside}
    copy_migrated(request.paths, request.roots.source, request.out, {**after, **added})
    write_files({file: text for file, text in texts.items() if file not in inside})


def source_prefix(roots: Roots) -> str:
  """Returns what leads from the project's folder to the source root."""
  inner = roots.source.relative_to(roots.project).as_posix()
  return '' if inner == '.' else f'{inner}/'


def _next_move(request: _Request, result: MigrationResult, writes: bool) -> str:
  if request.out is not None and writes:
    return f'Written to {request.out}, with the manifest {request.manifest.name}.'
  if writes:
    written = f'Written in place, with the manifest {request.manifest}.'
    return written if result.files else 'There was nothing to write.'
  if result.errors or not result.files:
    return ''
  return 'Nothing was written; add --write to rewrite in place, or --out DIR for a copy.'


def _explain(targets: tuple[str, ...], root: Path | None, chosen: dict[str, Any]) -> int:
  from migrator.report.terminal import make_console, print_explanation

  console = make_console()
  for target in targets:
    file, colon, name = target.rpartition(':')
    if not colon or not file:
      raise Failure(f'{target}: --explain wants file.py:Class')
    [path] = existing([Path(file)])
    roots = find_roots([path], root)
    options, _ = merged_options(chosen, read_settings(roots.project))
    # What becomes of a class depends on those it makes: it is told as a run over everything has it.
    result = migrated([roots.source] if roots.certain else [path], roots, options)
    print_explanation(console, _named(result, path, roots, name))
  return 0


def _named(result: MigrationResult, path: Path, roots: Roots, name: str) -> ClassReport:
  file = path.relative_to(roots.source).as_posix()
  here = {report.name.partition(':')[2]: report for report in result.classes if report.file == file}
  for error in result.errors:
    raise Failure(f'{error.file}:{error.line}: {error.message}')
  if name not in here:
    known = ', '.join(here) or 'none'
    raise Failure(f'{path}: no Linen class {name}; there are: {known}')
  return here[name]
