"""The report on a terminal: diff, findings by file, and what the numbers mean.  Plain text in a pipe."""
from __future__ import annotations

import difflib
import itertools
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.report.findings import ClassReport, Finding
from migrator.report.result import Change, Result, all_findings, count_levels, count_outcomes, exit_code

if TYPE_CHECKING:
  from rich.console import Console

STYLES = {'error': 'bold red', 'warning': 'yellow', 'note': 'cyan'}
MEANINGS = {
  'native': 'NNX now',
  'helper': 'NNX now, with a class from the generated helper file',
  'bridged': 'still Linen, used through nnx.bridge',
  'left': 'still Linen, nothing uses it',
}
VERDICTS = {
  0: 'Exit 0: nothing needs a look.',
  1: 'Exit 1: the findings above need a look.',
  2: 'Exit 2: a file could not be read; nothing was written.',
}
_NO_NEWLINE = '\\ No newline at end of file\n'


def make_console(stderr: bool = False) -> Console:
  """Returns a console that never wraps or colours what goes to a pipe."""
  from rich.console import Console

  return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)


def print_diff(console: Console, changes: Sequence[Change], project: Path) -> None:
  """Prints a unified diff of all files, as `patch -p1` in the project's folder reads it."""
  for change in sorted(changes, key=lambda change: change.path):
    for line in diff_lines(change, project):
      if console.is_terminal:
        console.out(line.rstrip('\n'), style=_diff_style(line), highlight=False)
      else:
        console.file.write(line)  # rich drops control characters such as '\r'; a patch needs them


def diff_lines(change: Change, project: Path) -> Iterator[str]:
  """Yields the lines of one file's unified diff, each with its newline."""
  inside = change.path.is_relative_to(project)
  name = change.path.relative_to(project).as_posix() if inside else str(change.path)
  old = f'a/{name}' if change.before else '/dev/null'
  before, after = _split(change.before), _split(change.after)
  for line in difflib.unified_diff(before, after, old, f'b/{name}'):
    yield line if line.endswith('\n') else f'{line}\n{_NO_NEWLINE}'


def _split(text: str) -> list[str]:
  """Lines ended by '\\n' only: a form feed inside a line is no line end for `patch`."""
  *whole, rest = text.split('\n')
  return [line + '\n' for line in whole] + ([rest] if rest else [])


def _diff_style(line: str) -> str | None:
  if line.startswith(('---', '+++')):
    return 'bold'
  return {'+': 'green', '-': 'red', '@': 'cyan'}.get(line[:1])


def print_findings(console: Console, findings: Sequence[Finding], prefix: str = '') -> None:
  """Prints findings grouped by file; `prefix` leads from the project's folder to the source root."""
  from rich.text import Text

  for file, group in itertools.groupby(sorted(findings), key=lambda finding: finding.file):
    console.print(Text(posixpath.normpath(prefix + file), 'bold'))
    for finding in group:
      place = f'{finding.line:>6}' if finding.line else '     -'
      console.print(Text.assemble(f'{place}  ', (f'{finding.level:<7}', STYLES[finding.level]),
                                  f'  {finding.code}  ', finding.message))
    console.print()


def print_summary(console: Console, result: Result, next_move: str) -> None:
  """Prints the counts, what the exit code means, and what to do next."""
  findings = all_findings(result)
  print_counts(console, result.classes)
  new = sum(not change.before for change in result.files)
  counts = count_levels(findings)
  levels = ', '.join(f'{count} {level}{"s" * (count != 1)}' for level, count in counts.items())
  console.print(f'Files: {len(result.files) - new} changed, {new} new.  Findings: {levels}.')
  console.print(VERDICTS[exit_code(result)])
  if next_move:
    console.print(next_move)


def print_counts(console: Console, classes: Sequence[ClassReport]) -> None:
  """Prints one line per outcome with its number of classes and what it means."""
  counts = count_outcomes(classes)
  console.print(f'Linen classes: {sum(counts.values())}')
  for outcome, count in counts.items():
    if count:
      console.print(f'{count:>6}  {outcome:<8} {MEANINGS[outcome]}')


def print_explanation(console: Console, report: ClassReport) -> None:
  """Prints where every size, name and decision of one class came from."""
  console.print(f'{report.name}  ({report.file}:{report.line})')
  console.print(f'  outcome: {report.outcome}, {MEANINGS[report.outcome]}')
  for title, rows in _sections(report):
    console.print(f'  {title}:')
    for row in rows or ['none']:
      console.print(f'    {row}')


def _sections(report: ClassReport) -> Iterator[tuple[str, list[str]]]:
  yield 'sizes', [f'{name} <- {origin}' for name, origin in report.sizes.items()]
  yield 'names', [f'{linen} -> {nnx}' for linen, nnx in report.names.items()]
  yield 'assumptions', list(report.assumptions)
  yield 'reasons', list(report.reasons)
