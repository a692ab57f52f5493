"""The results as a markdown table, and whether they are as they must be."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ('package', 'classes', 'native', 'helper', 'bridged', 'left', 'findings', 'broken', 'no import',
           '2nd run', 'seconds', 'x parse', 'MB')
SUMMED = ('classes', 'native', 'helper', 'bridged', 'left')
MOST_REASONS = 20


def faults(row: Mapping[str, Any]) -> list[str]:
  """Returns what must not be: a failed run, files that break, a second run that changes something."""
  if 'failure' in row:
    return [f'{row["package"]}: {row["failure"]}']
  found = [f'{row["package"]}: {file} no longer compiles: {error}'
           for file, error in row['no_longer_compile'].items()]
  found += [f'{row["package"]}: {file} no longer imports: {error}'
            for file, error in row.get('no_longer_import', {}).items()]
  found += [f'{row["package"]}: a second run changes {file}' for file in row['changed_by_second_run']]
  return found


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
  """Returns the table with a line of sums, the reasons counted, and the faults."""
  good = [row for row in rows if 'failure' not in row]
  cells = [_cells(row) for row in rows]
  if len(good) > 1:
    cells.append(_sums(good))
  widths = [max(len(line[k]) for line in [list(COLUMNS), *cells]) for k in range(len(COLUMNS))]
  lines = [_line(COLUMNS, widths), _line(['-' * width for width in widths], widths)]
  lines += [_line(line, widths) for line in cells]
  return '\n'.join([*lines, *_reasons(good), *_faults(rows)]) + '\n'


def _cells(row: Mapping[str, Any]) -> list[str]:
  if 'failure' in row:
    return [row['package'], 'failed', *[''] * (len(COLUMNS) - 2)]
  imports = str(len(row['no_longer_import'])) if 'no_longer_import' in row else '-'
  values = [row['package'], *(row[name] for name in SUMMED), sum(row['findings'].values()),
            len(row['no_longer_compile']), imports, len(row['changed_by_second_run']),
            f'{row["seconds"]:.1f}', row['ratio_to_parsing'], f'{row["peak_megabytes"]:.0f}']
  return [str(value) for value in values]


def _sums(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  total = {name: sum(row[name] for row in rows) for name in SUMMED}
  parse, run = (sum(row[name] for row in rows) for name in ('parse_cpu_seconds', 'cpu_seconds'))
  values = ['total', *total.values(), sum(sum(row['findings'].values()) for row in rows),
            sum(len(row['no_longer_compile']) for row in rows),
            sum(len(row.get('no_longer_import', ())) for row in rows),
            sum(len(row['changed_by_second_run']) for row in rows),
            f'{sum(row["seconds"] for row in rows):.1f}', round(run / parse, 2) if parse else '-',
            f'{max(row["peak_megabytes"] for row in rows):.0f}']
  return [str(value) for value in values]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
  return '| ' + ' | '.join(f'{cell:<{width}}' for cell, width in zip(cells, widths, strict=True)) + ' |'


def _reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  counts: dict[str, int] = {}
  for row in rows:
    for reason, count in row['reasons'].items():
      counts[reason] = counts.get(reason, 0) + count
  ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]
  lines = [f'- {count} x {reason}' for reason, count in ranked]
  return ['', 'Why classes stay Linen:', *lines] if lines else []


def _faults(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  found = [fault for row in rows for fault in faults(row)]
  return ['', 'Faults:', *(f'- {fault}' for fault in found)] if found else []
