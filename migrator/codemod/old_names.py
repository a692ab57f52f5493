"""Texts in code that name variables as Linen did: `params['Dense_0']`, `r'Dense_\\d+/kernel'`."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from migrator.report.findings import ClassReport, Finding

_AUTOMATIC = re.compile(r'[A-Z]\w*_(\d+|\*)')
_WORD = re.compile(r'\w+')
_TOLD = 3


class _Renamed(NamedTuple):
  """A name in Linen's variables ('Dense_0', 'Dense_*', 'block_{}'), its new one, and a class that has it."""

  old: str
  new: str
  owner: str


def old_name_findings(project: Any, reports: Sequence[ClassReport]) -> Iterator[Finding]:
  """Yields a finding for every text outside of migrated classes that has a name which is another one now."""
  renamed = list(_renamed(reports))
  if not renamed:
    return
  prefixes = {re.split(r'[*{]', row.old)[0].encode() for row in renamed}
  native = {report.name for report in reports if report.outcome in ('native', 'helper')}
  for name, file in sorted(project.index.files.items()):
    if not file.listed or not any(prefix in file.data for prefix in prefixes):
      continue
    module = project.module(name)
    if module is not None and module.skips.file is None:
      yield from _in_module(project, module, renamed, native)


def _renamed(reports: Sequence[ClassReport]) -> Iterator[_Renamed]:
  for report in reports:
    if report.outcome in ('native', 'helper'):
      for old, new in report.names.items():
        last = old.split('/')[-1]
        if last != new and (_AUTOMATIC.fullmatch(last) or '{}' in last):
          yield _Renamed(last, new, report.name)


def _in_module(project: Any, module: Any, renamed: Sequence[_Renamed], native: set[str]) -> Iterator[Finding]:
  nodes, old_names = module.nodes, {row.old for row in renamed}
  left_out = {node for item in project.classes_in(module) if item.name in native for node in nodes.walk(item.node)}
  for node in nodes.order:
    parent = nodes.parent(node)
    if node in left_out or isinstance(parent, (ast.Expr, ast.JoinedStr)):
      continue
    if isinstance(parent, ast.keyword) and parent.arg == 'name':
      continue
    text = _text(node)
    meant = {old for old in old_names if _names(text, old)} if text else ()
    rows = [row for row in renamed if row.old in meant] if meant else []
    if rows:
      new = [f'{row.new} in {row.owner}' for row in rows[:_TOLD]]
      more = f' and {len(rows) - _TOLD} more classes' if len(rows) > _TOLD else ''
      keeps = '' if any('.' in row.new or '*' in row.old for row in rows) else ', or migrate with --names linen'
      message = f'{text!r} is a name in the variables of Linen; it is {", ".join(new)}{more} now: rename it{keeps}'
      yield Finding(module.relative, node.lineno, 'linen-name', message)


def _text(node: ast.AST) -> str:
  if isinstance(node, ast.Constant) and isinstance(node.value, str):
    return node.value
  if isinstance(node, ast.JoinedStr):
    return ''.join(str(part.value) if isinstance(part, ast.Constant) else '{}' for part in node.values)
  return ''


def _names(text: str, old: str) -> bool:
  """Tells whether a text is a name, or has an automatic one in it as a word."""
  pattern, template = _pattern(old)
  if pattern.fullmatch(text) or text == template:
    return True
  return '{}' not in old and any(map(pattern.fullmatch, _WORD.findall(text)))


@functools.cache
def _pattern(old: str) -> tuple[re.Pattern[str], str]:
  written = re.escape(old).replace(r'\*', r'(\d+|{}|\\d\+?|\.\*)').replace(r'\{\}', r'(\w+|{})')
  return re.compile(written), re.sub(r'\d+$', '{}', old)
