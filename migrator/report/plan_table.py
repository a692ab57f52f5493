"""The plan of a migration on a terminal, or as plain lines in a pipe."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from migrator.report.plan import DIFFICULTIES, FilePlan, Plan
from migrator.report.result import OUTCOMES
from migrator.report.terminal import MEANINGS, print_counts

if TYPE_CHECKING:
  from rich.console import Console
  from rich.table import Table

STYLES = {'unreadable': 'bold red', 'by hand': 'red', 'review': 'yellow', 'automatic': 'green'}
_NAMED = 3
_PIPE = 400


def print_plan(console: Console, plan: Plan, with_classes: bool) -> None:
  """Prints the table of files (and of classes), and what is to be done by hand."""
  if not plan.files:
    console.print('No Linen classes, and no code that uses them.')
    return
  _print_table(console, _files(plan.files))
  if with_classes:
    _print_table(console, _classes(plan))
  print_counts(console, plan.classes)
  counts = Counter(file.difficulty for file in plan.files)
  console.print(f'Files: {len(plan.files)}')
  for name, meaning in DIFFICULTIES.items():
    if counts[name]:
      console.print(f'{counts[name]:>6}  {name:<10} {meaning}')
  _print_groups(console, 'Why classes stay Linen', plan.reasons)
  _print_groups(console, 'Helpers that would be written', plan.helpers)
  _print_lines(console, 'Sizes that only inputs know, given by whoever makes the model',
               [f'{size.model}({size.argument}=...)  {size.origin}' for size in plan.sizes])
  _print_lines(console, 'Places that would use an NNX class as a Linen one, through as_linen', [
    f'{finding.file}:{finding.line}  {finding.message.partition(" is NNX now")[0]}' for finding in plan.call_sites])
  _print_lines(console, 'Linen outside of classes', [
    f'{item.file}:{item.line}  {item.message}' for file in plan.files for item in file.linen])
  _print_lines(console, 'Not readable', [
    f'{item.file}:{item.line}  {item.message}' for file in plan.files for item in file.errors])


def _files(files: Sequence[FilePlan]) -> Table:
  table = _table('File', *OUTCOMES, 'call sites', 'assumptions', 'difficulty')
  for file in files:
    counts = Counter(report.outcome for report in file.classes)
    numbers = [counts[outcome] for outcome in OUTCOMES]  # type: ignore[index]
    numbers += [len(file.call_sites), len(file.assumptions)]
    table.add_row(file.path, *(str(number) if number else '.' for number in numbers),
                  f'[{STYLES[file.difficulty]}]{file.difficulty}')
  return table


def _classes(plan: Plan) -> Table:
  table = _table('Class', 'outcome', 'sizes', 'reasons', right=())
  for report in plan.classes:
    table.add_row(f'{report.name} ({report.file}:{report.line})', report.outcome, ', '.join(report.sizes) or '.',
                  '; '.join(report.reasons) or MEANINGS[report.outcome])
  return table


def _table(first: str, *columns: str, right: Sequence[str] | None = None) -> Table:
  from rich import box
  from rich.table import Table

  table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style='bold')
  table.add_column(first, no_wrap=True)
  for name in columns:
    numbers = right is None and name != 'difficulty'
    table.add_column(name, justify='right' if numbers else 'left', no_wrap=numbers)
  return table


def _print_table(console: Console, table: Table) -> None:
  if not console.is_terminal:
    # What goes to a pipe is never cut at the width of a terminal that is not there.
    console.width = _PIPE
  console.print(table, markup=True)


def _print_groups(console: Console, title: str, groups: Sequence[tuple[str, Sequence[str]]]) -> None:
  rows = []
  for text, names in groups:
    named = ', '.join(name.partition(':')[2] for name in names[:_NAMED])
    more = f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''
    rows.append(f'{len(names):>4}  {text}  ({named}{more})')
  _print_lines(console, title, rows)


def _print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
  if lines:
    console.print()
    console.print(f'{title}:')
    for line in lines:
      console.print(f'  {line}')
