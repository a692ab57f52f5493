"""The report of a check: the published schema, lines of text, GitHub annotations."""
from __future__ import annotations

import copy
import json

import jsonschema
import pytest
from check_documents import report

from migrator.equivalence import CheckReport
from migrator.report.check.document import SCHEMA
from migrator.report.check.github import workflow_commands
from migrator.report.check.text import report_lines

VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding='utf-8')))


def test_reports_are_as_the_schema_says():
  jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
  VALIDATOR.validate(json.loads(report().to_json()))
  VALIDATOR.validate(json.loads(CheckReport(failure='there are no cases').to_json()))


@pytest.mark.parametrize('change', [
  lambda document: document.pop('versions'),
  lambda document: document['cases'][0].update(extra=1),
  lambda document: document['cases'][0]['proofs'][0].update(verdict='equal'),
  lambda document: document['cases'][1]['proofs'][0]['modules'][0].update(place='somewhere'),
  lambda document: document['cases'][0]['parts'][0].pop('worst'),
])
def test_the_schema_refuses_what_no_report_holds(change):
  document = copy.deepcopy(json.loads(report().to_json()))
  change(document)
  assert not VALIDATOR.is_valid(document)


def test_text_says_proofs_modules_and_numbers():
  lines = list(report_lines(report().to_document()))
  text = '\n'.join(lines)
  assert 'same program' in text and 'for every batch size of 2 and more' in text
  named = [line for line in lines if 'blocks/0/norm2 (zoo/vit.py:12)' in line]
  assert len(named) == 1 and named[0].endswith('1e-06 in Linen, 1e-05 in NNX  [eval, gradient]')
  assert 'passes from tolerance 2.0e-07' in text and 'only Linen has it' in text
  assert '  second line' in lines and lines[-1].startswith('1 of 3 cases equal.  linen: python 3.11.7')


def test_annotations_stand_at_the_lines_of_the_nnx_source():
  commands = list(workflow_commands(report().to_document(), 'src/'))
  assert commands[0] == (
    '::error file=src/zoo/vit.py,line=12,title=vit%3A blocks/0/norm2::Linen block_0/LayerNorm_1 (zoo/vit.py:7) | '
    'NNX blocks/0/norm2 (zoo/vit.py:12): body: differs: 1e-06 in Linen, 1e-05 in NNX [eval, gradient]')
  assert commands[1].startswith('::error title=vit%3A the model::') and 'file=' not in commands[1]
  assert 'second line' in commands[-1] and '%0A' in commands[-1] and '\n' not in ''.join(commands)
  assert len(commands) == 4 and 'mlp' not in ''.join(commands)


def test_a_failed_run_is_one_annotation():
  assert list(workflow_commands(CheckReport(failure='100% wrong').to_document())) == [
    '::error title=linen2nnx check::100%25 wrong']
