"""The reports: what counts as a finding, JSON that stays the same, a diff that `patch` can apply."""
from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import subprocess

import jsonschema
import pytest
from rich.console import Console

from migrator.report.findings import ClassReport, Finding
from migrator.report.json_report import report_json
from migrator.report.result import all_findings, exit_code
from migrator.report.terminal import print_diff, print_explanation, print_findings, print_summary


@dataclasses.dataclass(frozen=True)
class Change:
  path: pathlib.Path
  before: str
  after: str


@dataclasses.dataclass(frozen=True)
class Result:
  files: tuple[Change, ...] = ()
  classes: tuple[ClassReport, ...] = ()
  findings: tuple[Finding, ...] = ()
  errors: tuple[Finding, ...] = ()


ROOT = pathlib.Path('/repo')
NATIVE = ClassReport('zoo.b:B', 'zoo/b.py', 3, 'native', sizes={'in_features': 'last axis of x'},
                     names={'Dense_0': 'linear1'}, assumptions=('act keeps the shape',))
BRIDGED = ClassReport('zoo.a:A', 'zoo/a.py', 9, 'bridged', reasons=('uses nn.vmap over methods',))
NOTE = Finding('zoo/b.py', 4, 'assumption', 'act keeps the shape', 'note')
WARNING = Finding('zoo/a.py', 9, 'bridged-class', 'A stays Linen', 'warning')
ERROR = Finding('zoo/c.py', 1, 'syntax', 'invalid syntax', 'error')

REPORT_SCHEMA = {
  'type': 'object',
  'additionalProperties': False,
  'required': ['format', 'version', 'source_root', 'options', 'written', 'exit_code', 'counts', 'files',
               'classes', 'findings'],
  'properties': {
    'format': {'const': 'linen2nnx-report'}, 'version': {'const': 1}, 'source_root': {'type': 'string'},
    'options': {'type': 'object'}, 'written': {'type': 'boolean'}, 'exit_code': {'enum': [0, 1, 2]},
    'counts': {'type': 'object', 'required': ['classes', 'findings', 'files']},
    'files': {'items': {'required': ['path', 'status']}},
    'classes': {'items': {'required': ['name', 'file', 'line', 'outcome', 'reasons', 'assumptions', 'sizes',
                                       'names']}},
    'findings': {'items': {'required': ['file', 'line', 'code', 'message', 'level']}},
  },
}


@pytest.mark.parametrize('result, code', [
    (Result(), 0),
    (Result(classes=(NATIVE,), findings=(NOTE,)), 0),
    (Result(classes=(NATIVE, BRIDGED)), 1),
    (Result(findings=(WARNING,)), 1),
    (Result(findings=(WARNING,), errors=(ERROR,)), 2),
])
def test_exit_code(result, code):
  assert exit_code(result) == code


def test_a_class_left_linen_is_a_finding_once():
  [told] = all_findings(Result(classes=(NATIVE, BRIDGED)))
  assert (told.file, told.line, told.code) == ('zoo/a.py', 9, 'bridged-class')
  assert 'uses nn.vmap over methods' in told.message
  assert all_findings(Result(classes=(BRIDGED,), findings=(WARNING,))) == [WARNING]


def test_json_does_not_depend_on_the_order_it_was_found_in():
  changes = (Change(ROOT / 'src/zoo/b.py', 'x\n', 'y\n'), Change(ROOT / 'src/zoo/helpers.py', '', 'z\n'))
  one = Result(changes, (NATIVE, BRIDGED), (NOTE, WARNING), (ERROR,))
  two = Result(changes[::-1], (BRIDGED, NATIVE), (WARNING, NOTE), (ERROR,))
  options = {'names': 'linen', 'jobs': 1}
  texts = [report_json(result, ROOT / 'src', ROOT, options, False) for result in (one, two)]
  assert texts[0] == texts[1]
  document = json.loads(texts[0])
  jsonschema.validate(document, REPORT_SCHEMA)
  assert document['source_root'] == 'src'
  assert document['counts'] == {'classes': {'native': 1, 'helper': 0, 'bridged': 1, 'left': 0},
                                'findings': {'error': 1, 'warning': 1, 'note': 1},
                                'files': {'changed': 1, 'new': 1}}
  assert document['files'] == [{'path': 'zoo/b.py', 'status': 'changed'},
                               {'path': 'zoo/helpers.py', 'status': 'new'}]
  assert '/repo' not in texts[0]


def printed(work, **console):
  out = io.StringIO()
  work(Console(file=out, soft_wrap=True, highlight=False, markup=False, emoji=False, **console))
  return out.getvalue()


@pytest.mark.parametrize('before, after', [
    ('a = 1\nb = 2\n', 'a = 1\nb = 3\n'),
    ('a = 1\r\nb = 2\r\n', 'a = 1\r\nc = 2\r\n'),
    ('a = 1\nb = 2', 'a = 1\nb = 3\n'),
    ('a = 1\n\x0cb = 2\n', 'a = 1\n\x0cb = "[bold]' + 'long' * 60 + '[/]"\n'),
    ('', 'new = 1\n'),
])
def test_the_diff_can_be_applied(tmp_path, before, after):
  file = tmp_path / 'pkg' / 'm.py'
  text = printed(lambda console: print_diff(console, [Change(file, before, after)], tmp_path))
  file.parent.mkdir()
  if before:
    file.write_bytes(before.encode())
  (tmp_path / 'change.patch').write_bytes(text.encode())
  subprocess.run(['git', 'apply', '--whitespace=nowarn', 'change.patch'], cwd=tmp_path, check=True,
                 env={**os.environ, 'GIT_CEILING_DIRECTORIES': str(tmp_path.parent)})
  assert file.read_bytes() == after.encode()


def test_colour_only_on_a_terminal():
  change = Change(ROOT / 'm.py', 'a\n', 'b\n')
  assert '\x1b[' not in printed(lambda console: print_diff(console, [change], ROOT))
  shown = printed(lambda console: print_diff(console, [change], ROOT), force_terminal=True,
                  color_system='standard')
  assert '\x1b[32m+b' in shown and '\x1b[31m-a' in shown


def test_findings_stand_under_their_file_and_the_summary_counts():
  result = Result((), (NATIVE, BRIDGED), (NOTE, WARNING))
  text = printed(lambda console: print_findings(console, all_findings(result), 'src/'))
  assert text.index('src/zoo/a.py') < text.index('A stays Linen') < text.index('src/zoo/b.py')
  text = printed(lambda console: print_summary(console, result, 'next'))
  assert 'Linen classes: 2' in text and '1  bridged' in text and 'Exit 1' in text and text.endswith('next\n')


def test_explanation_says_where_sizes_and_names_come_from():
  text = printed(lambda console: print_explanation(console, NATIVE))
  for part in ('in_features <- last axis of x', 'Dense_0 -> linear1', 'act keeps the shape', 'zoo/b.py:3'):
    assert part in text
