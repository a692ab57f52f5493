"""The figures with what each must reach."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.checkpoints.measure import Run, median, ratio
from benchmarks.checkpoints.state import SIZES

Runs = Mapping[tuple[str, str], Mapping[str, Sequence[Run]]]
FASTER = {'2g': 40, '6g': 150}
MEGABYTES = 120


@dataclasses.dataclass(frozen=True)
class Figure:
  """name, what was found, what it must be, and whether it is; None where nothing is asked."""

  name: str
  found: str
  goal: str
  reached: bool | None


def figures(runs: Runs) -> list[Figure]:
  """Returns the figures of all sizes and layouts that were measured."""
  return [figure for (size, layout), taken in runs.items() for figure in _of(size, layout, taken)] + list(_flat(runs))


def _of(size: str, layout: str, taken: Mapping[str, Sequence[Run]]) -> Iterator[Figure]:
  of = f'{size} {layout}'
  bytes_of = median(taken['restore + save'], 'new')
  for way in ('rename', 'stack'):
    faster, faster_cpu = ratio(taken['restore + save'], taken[way]), ratio(taken['restore + save'], taken[way], 'cpu')
    goal = FASTER.get(size)
    yield Figure(f'{of}: {way}, faster than restore + save', f'{faster:.0f}x ({median(taken[way], "seconds"):.2f} s; '
                 f'processor time {faster_cpu:.0f}x)', f'{goal}x' if goal else '', faster >= goal if goal else None)
    memory = max(run.megabytes for run in taken[way])
    yield Figure(f'{of}: {way}, peak memory', f'{memory:.0f} MB', f'{MEGABYTES} MB', memory < MEGABYTES)
    written = median(taken[way], 'new') / bytes_of
    yield Figure(f'{of}: {way}, bytes written', f'{100 * written:.3f} %', '1 %', written < 0.01 if goal else None)
  if 'converter' in taken:
    published = ratio(taken['converter'], taken['stack'])
    memory = median(taken['converter'], 'megabytes') / median(taken['stack'], 'megabytes')
    yield Figure(f'{of}: a hand-written converter takes', f'{published:.0f}x the time, {memory:.0f}x the memory', '', None)
  if 'copy' in taken:
    yield from _first(of, size, taken)


def _first(of: str, size: str, taken: Mapping[str, Sequence[Run]]) -> Iterator[Figure]:
  copied = ratio(taken['copy'], taken['cp -r'])
  yield Figure(f'{of}: --copy against cp -r', f'{copied:.2f}x', '1.3x', copied <= 1.3)
  largest = SIZES[size].vocabulary * SIZES[size].width * 4 / 1e6
  for way in ('transpose', 'transpose, encoded') if 'transpose' in taken else ():
    faster = ratio(taken['restore + transpose + save'], taken[way])
    yield Figure(f'{of}: every matrix: {way}, faster than Orbax', f'{faster:.1f}x', '2x', faster >= 2)
    memory = max(run.megabytes for run in taken[way])
    yield Figure(f'{of}: every matrix: {way}, peak memory', f'{memory:.0f} MB', f'{3 * largest + 150:.0f} MB',
                 memory < 3 * largest + 150)
  checked = ratio(taken['verify'], taken['read'])
  yield Figure(f'{of}: deep check against reading', f'{checked:.2f}x', '1.5x', checked <= 1.5)


def _flat(runs: Runs) -> Iterator[Figure]:
  """Time does not grow with bytes."""
  for layout in {layout for _, layout in runs}:
    if ('2g', layout) in runs and ('6g', layout) in runs:
      grown = median(runs['6g', layout]['rename'], 'cpu') / median(runs['2g', layout]['rename'], 'cpu')
      yield Figure(f'{layout}: rename at 6 GB against 2 GB', f'{grown:.2f}x', '2x', grown <= 2)


def missed(found: Sequence[Figure]) -> bool:
  """Whether a figure misses its goal."""
  return any(figure.reached is False for figure in found)


def markdown(found: Sequence[Figure]) -> str:
  """Returns the table."""
  lines = ['| figure | found | must reach | |', '|---|---|---|---|']
  marks = {True: 'yes', False: 'no', None: ''}
  return '\n'.join(lines + [f'| {figure.name} | {figure.found} | {figure.goal} | {marks[figure.reached]} |' for figure in found])
