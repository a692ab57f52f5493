"""The report of a check as one HTML file that needs nothing else: no script, font or picture from elsewhere."""
from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from migrator.report.check.document import EQUAL_PROOFS, MEANINGS, Table, ending
from migrator.report.check.html_sources import Sources, files_html, line_link
from migrator.report.check.plot import error_plot
from migrator.report.check.text import measure, summary
from migrator.report.check.tree import Module, module_tree

PAGE = Path(__file__).with_name('page')


def report_html(document: Table, sources: Mapping[str, Sources] | None = None) -> str:
  """Returns the page.

  Args:
    document: the JSON of a check.
    sources: case name -> its files as {file: (Linen text, NNX text)}; None for a report without source.
  """
  found = sources or {}
  cases = ''.join(_case(case, index, found.get(case['name'], {})) for index, case in enumerate(document['cases']))
  failure = f'<p class="failure">{escape(document["failure"])}</p>' if document['failure'] else ''
  style, script = ((PAGE / name).read_text(encoding='utf-8') for name in ('page.css', 'page.js'))
  return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>linen2nnx check: {escape(MEANINGS[document['exit_code']])}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#cases">Skip to the cases</a>
<header>
<h1>Linen and NNX compared {_badge(MEANINGS[document['exit_code']])}</h1>
<p>{escape(summary(document))}</p>{failure}
{_filters(document)}
</header>
<main id="cases" tabindex="-1">
{cases}
<p id="nothing" hidden>No case fits the filters.</p>
</main>
<script>
{script}</script>
</body>
</html>
"""


def _filters(document: Table) -> str:
  counts = {word: sum(MEANINGS[case['exit_code']] == word for case in document['cases']) for word in MEANINGS.values()}
  boxes = ''.join(f'<label><input type="checkbox" name="status" value="{word}" checked> {word} ({count})</label>'
                  for word, count in counts.items())
  return (f'<form id="filters" role="search"><label>Find <input type="search" id="find" placeholder="case, module, cause">'
          f'</label>{boxes}<label><input type="checkbox" id="troubled"> only modules that differ</label>'
          '<button type="button" id="theme">Light or dark</button>'
          '<span class="hint">Keys: <kbd>/</kbd> find, <kbd>n</kbd> <kbd>p</kbd> next and previous difference</span></form>')


def _badge(word: str) -> str:
  kind = 'good' if word in (*EQUAL_PROOFS, 'equal', 'bitwise', 'close') else 'open' if word in (
    'not proved', 'not judged', 'not compared', 'same, other precision') else 'bad'
  return f'<span class="badge {kind}">{escape(word)}</span>'


def _case(case: Table, index: int, sources: Sources) -> str:
  word = MEANINGS[case['exit_code']]
  opened = ' open' if case['exit_code'] else ''
  prefix = f'case{index}'
  body = ''.join([
    f'<pre class="failure">{escape(case["failure"])}</pre>' if case['failure'] else '',
    _proofs(case), _modules(case, prefix, sources), _parts(case), _notes(case), files_html(case, prefix, sources)])
  return (f'<details class="case" data-status="{word}" id="{prefix}"{opened}><summary><h2>{escape(case["name"])}</h2> '
          f'<code>{escape(case["model"])}</code> {_badge(word)}</summary>{body}</details>')


def _proofs(case: Table) -> str:
  rows = ''.join(f'<tr><th scope="row">{escape(proof["mode"])}</th><td>{_badge(proof["verdict"])}</td>'
                 f'<td>{escape(proof["reason"] or proof["shapes"])}{_lower(proof)}</td><td>{proof["outputs"]}</td>'
                 f'<td>{proof["linen_size"]} / {proof["nnx_size"]}</td></tr>' for proof in case['proofs'])
  if not rows:
    return ''
  head = ''.join(f'<th scope="col">{word}</th>' for word in ('Mode', 'Verdict', 'For', 'Arrays', 'Equations Linen / NNX'))
  return f'<h3>Proof</h3><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _lower(proof: Table) -> str:
  if not proof['lower']:
    return ''
  items = ''.join(f'<li><code>{escape(output["name"])}</code>: {escape(output["verdict"])}'
                  f'{escape(ending(output["detail"]))}</li>' for output in proof['lower'])
  return f'<details><summary>{len(proof["lower"])} outputs below “same program”</summary><ul>{items}</ul></details>'


def _modules(case: Table, prefix: str, sources: Sources) -> str:
  tree = module_tree(case)
  if not tree.children and not tree.findings:
    return ''
  return f'<h3>Modules</h3><ul class="tree">{_module(tree, prefix, sources)}</ul>'


def _module(module: Module, prefix: str, sources: Sources) -> str:
  other = '' if module.nnx == module.linen else f' → <code>{escape(module.nnx)}</code>'
  line = f'<code>{escape(module.name)}</code>{other} {_badge(module.verdict)}'
  causes = ''.join(_finding(verdict, modes, prefix, sources) for verdict, modes in module.findings)
  inside = ''.join(_module(child, prefix, sources) for child in module.children)
  kind = 'troubled' if module.troubled else 'calm'
  text = escape(f'{module.linen} {module.nnx}', True)
  if not inside:
    return f'<li class="{kind}" data-text="{text}">{line}{causes}</li>'
  opened = ' open' if module.troubled or not module.linen else ''
  return (f'<li class="{kind}" data-text="{text}"><details{opened}><summary>{line}</summary>{causes}'
          f'<ul>{inside}</ul></details></li>')


def _finding(verdict: Table, modes: list[str], prefix: str, sources: Sources) -> str:
  places = ' | '.join(f'{side} {line_link(verdict[key], prefix, key, sources)}'
                      for side, key in (('Linen', 'linen_line'), ('NNX', 'nnx_line')) if verdict[key])
  return (f'<p class="cause" tabindex="0"><b>{escape(verdict["place"])}</b>: {escape(verdict["verdict"])}'
          f'{escape(ending(verdict["cause"]))} <span class="modes">[{escape(", ".join(modes))}]</span> {places}</p>')


def _parts(case: Table) -> str:
  rows = ''.join(map(_part, case['parts']))
  if not rows:
    return ''
  head = ''.join(f'<th scope="col">{word}</th>' for word in ('Part', 'Verdict', 'Numbers'))
  return (f'<h3>Numbers</h3><p class="hint">Bars: error of an array relative to the scale of the reference.</p>'
          f'<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>')


def _part(part: Table) -> str:
  plot = error_plot(part['worst'], f'errors of {part["name"]}')
  return (f'<tr><th scope="row">{escape(part["name"])}</th><td>{_badge(part["verdict"])}</td>'
          f'<td>{escape(measure(part))}{_part_notes(part)}{plot}</td></tr>')


def _part_notes(part: Table) -> str:
  return ''.join(f'<p class="note">{escape(note)}</p>' for note in part['notes'])


def _notes(case: Table) -> str:
  taken = dict.fromkeys(words for proof in case['proofs'] for words in proof['assumptions'])
  items = ''.join(f'<li>{escape(words)}</li>' for words in [*taken, *case['notes']])
  return f'<h3>Taken for granted</h3><ul>{items}</ul>' if items else ''
