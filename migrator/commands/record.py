"""`linen2nnx record`: runs a command and writes the models it calls as cases for `check`."""
from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import click

from migrator.commands.options import PATH
from migrator.failure import Failure
from migrator.roots import existing, find_roots

CASES = 'linen2nnx-cases.toml'
EPILOG = """\b
Examples:
  linen2nnx record -- pytest tests/             what the tests make and call
  linen2nnx record --append -- python train.py  more cases into the same file
  linen2nnx check --base main --cases linen2nnx-cases.toml

\b
Run it while the code is Linen.  Exit codes: 0 written, 1 written but the command failed or some calls fit in
no case, 2 nothing was written.
"""


@click.command('record', epilog=EPILOG, context_settings={'ignore_unknown_options': True})
@click.argument('words', nargs=-1, required=True, metavar='-- CMD...', type=click.UNPROCESSED)
@click.option('--output', type=PATH, metavar='FILE', help=f'The case file; default: {CASES} in the project folder.')
@click.option('--append', is_flag=True, help='Keep the cases of an earlier run and add the new ones.')
@click.option('--limit', type=click.IntRange(min=1), default=3, show_default=True, metavar='N',
              help='How many cases of a class are kept that differ in numbers alone.')
@click.option('--root', type=PATH, help='Project folder, whose classes are recorded; default: found from here.')
def command(words: tuple[str, ...], output: Path | None, append: bool, limit: int, root: Path | None) -> int:
  """Run CMD and write every Linen model it initializes or applies as a case.

  A case holds the fields of the model, shapes and dtypes of its inputs, its flags, random streams and changed
  collections; no weights and no data.  This runs your code.
  """
  from migrator.codemod.write import write_files
  from migrator.record.case_file import case_file, read_recorded
  from migrator.record.notes import cases_of, merged, read_notes

  project = find_roots(existing([root or Path()]), root).project
  file = output if output is not None else project / CASES
  old = read_recorded(file)
  with tempfile.TemporaryDirectory(prefix='linen2nnx-record-') as folder:
    code = _run(words, Path(folder), project)
    notes = read_notes(Path(folder))
  new = cases_of(notes.calls, limit)
  if not new:
    why = f'; not recorded: {"; ".join(f"{model}: {reason}" for model, reason in notes.skipped)}' if notes.skipped else ''
    raise Failure(f'{words[0]} ended with {code} and called no Linen model of {project}; nothing was written{why}')
  cases = merged(old if append else [], new)
  write_files({file: case_file(cases)})
  for model, reason in notes.skipped:
    click.echo(f'not recorded: {model}: {reason}')
  click.echo(f'{len(new)} cases of {len({case["model"] for case in new})} classes, {len(cases)} in {file}')
  if code:
    click.echo(f'linen2nnx: {words[0]} ended with {code}', err=True)
  return 1 if code or notes.skipped else 0


def _run(words: tuple[str, ...], folder: Path, project: Path) -> int:
  """Runs the command with the hook in all its Python processes; returns its exit code."""
  hook = Path(__file__).resolve().parents[1] / 'record' / 'hook'
  before = os.environ.get('PYTHONPATH')
  environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(hook), *([before] if before else [])]),
                 'LINEN2NNX_RECORD': str(folder), 'LINEN2NNX_RECORD_ROOT': str(project)}
  try:
    return subprocess.run(words, env=environment, check=False).returncode
  except OSError as error:
    raise Failure(f'{words[0]}: {error.strerror or error}; nothing was recorded') from error
