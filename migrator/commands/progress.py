"""Progress of a long check: one line on a terminal, nothing in a pipe."""
from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from migrator.equivalence import Case, CaseResult
from migrator.equivalence.run import Watcher


class Bar(Watcher):
  """Shows on stderr how many cases are done, and which one runs."""

  def __init__(self, total: int):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn('{task.description}'))
    self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
    self._task = self.progress.add_task('', total=total)

  def begins(self, case: Case) -> None:
    self.progress.update(self._task, description=case.name)

  def ends(self, result: CaseResult) -> None:
    self.progress.advance(self._task)


@contextlib.contextmanager
def shown(total: int) -> Iterator[Watcher]:
  """Shows progress inside the context, if stderr is a terminal."""
  if not sys.stderr.isatty():
    yield Watcher()
    return
  bar = Bar(total)
  with bar.progress:
    yield bar
