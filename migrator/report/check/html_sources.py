"""Both sources side by side, with anchors at every line and marks at the lines of modules that differ."""
from __future__ import annotations

from collections.abc import Mapping
from html import escape

from migrator.report.check.document import Table

# File -> (Linen text, NNX text); '' where a side has no such file.
Sources = Mapping[str, tuple[str, str]]
SIDES = ('linen_line', 'nnx_line')


def line_link(place: str, prefix: str, side: str, sources: Sources) -> str:
  """Returns 'zoo/vit.py:12' as a link into the page, if the page holds that file."""
  file, _, line = place.rpartition(':')
  if file not in sources:
    return f'<code>{escape(place)}</code>'
  return f'<a href="#{_anchor(prefix, side, file, line, sources)}"><code>{escape(place)}</code></a>'


def files_html(case: Table, prefix: str, sources: Sources) -> str:
  """Returns the files of a case."""
  if not sources:
    return ''
  marked = {(side, module[side]) for proof in case['proofs'] for module in proof['modules'] for side in SIDES}
  return '<h3>Sources</h3>' + ''.join(_file(file, prefix, sources, marked) for file in sources)


def _file(file: str, prefix: str, sources: Sources, marked: set[tuple[str, str]]) -> str:
  texts = zip(SIDES, ('Linen', 'NNX'), sources[file], strict=True)
  columns = ''.join(f'<div><h4>{name}: {escape(file)}</h4>{_lines(text, side, file, prefix, sources, marked)}</div>'
                    for side, name, text in texts)
  opened = ' open' if any(place.startswith(f'{file}:') for _, place in marked) else ''
  return f'<details class="source"{opened}><summary><code>{escape(file)}</code></summary><div class="pair">{columns}</div></details>'


def _lines(text: str, side: str, file: str, prefix: str, sources: Sources, marked: set[tuple[str, str]]) -> str:
  lines = [_line(line, number, side, file, prefix, sources, (side, f'{file}:{number}') in marked)
           for number, line in enumerate(text.splitlines(), 1)]
  return f'<pre tabindex="0">{"".join(lines)}</pre>' if lines else '<p class="hint">no such file</p>'


def _line(line: str, number: int, side: str, file: str, prefix: str, sources: Sources, marked: bool) -> str:
  kind = ' class="marked"' if marked else ''
  return f'<span id="{_anchor(prefix, side, file, str(number), sources)}"{kind}><i>{number}</i>{escape(line)}\n</span>'


def _anchor(prefix: str, side: str, file: str, line: str, sources: Sources) -> str:
  return f'{prefix}-{side.partition("_")[0]}-{list(sources).index(file)}-{line}'
