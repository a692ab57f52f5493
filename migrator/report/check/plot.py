"""Error plots: one bar for each array, its error relative to the scale of the reference, as inline SVG."""
from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from migrator.report.check.document import Table

WIDTH, ROW, LABEL = 720, 20, 260
LEAST, MOST = -12, 0  # powers of ten at both ends


def error_plot(leaves: Sequence[Table], title: str) -> str:
  """Returns the SVG of the arrays that are not equal; '' when there are none.

  leaves: entries of `worst`; an error that is no number fills the row.
  """
  if not leaves:
    return ''
  height = ROW * len(leaves) + 26
  rows = ''.join(_row(leaf, index) for index, leaf in enumerate(leaves))
  return (f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, True)}">'
          f'{_axis(height)}{rows}</svg>')


def _row(leaf: Table, index: int) -> str:
  top = index * ROW
  relative = leaf['relative']
  name, detail = leaf['path'] or 'the output', f'{leaf["path"] or "the output"}: {leaf["detail"]}'
  end = WIDTH if relative is None else _x(relative)
  kind = 'bar whole' if relative is None else 'bar'
  return (f'<g><title>{escape(detail)}</title>'
          f'<text x="{LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(_short(name))}</text>'
          f'<rect class="{kind}" x="{LABEL}" y="{top + 3}" width="{max(2, end - LABEL):.0f}" height="{ROW - 6}"/></g>')


def _axis(height: int) -> str:
  ticks = range(LEAST, MOST + 1, 3)
  return ''.join(f'<line class="grid" x1="{_at(power):.0f}" x2="{_at(power):.0f}" y1="0" y2="{height - 18}"/>'
                 f'<text class="tick" x="{_at(power):.0f}" y="{height - 4}" text-anchor="middle">1e{power}</text>'
                 for power in ticks)


def _x(relative: float) -> float:
  return _at(min(MOST, max(LEAST, math.log10(relative)))) if relative > 0 else LABEL


def _at(power: float) -> float:
  return LABEL + (power - LEAST) / (MOST - LEAST) * (WIDTH - LABEL - 24)


def _short(text: str) -> str:
  return text if len(text) <= 38 else f'…{text[-37:]}'
