"""The certificate: an unchanged pair is traced and hashed only, a changed one is checked and the change named."""
from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from check_pairs import auto, entry, manifest, write

from migrator.equivalence import Case, run_checks
from migrator.equivalence.certificate import SCHEMA, read, why_not
from migrator.equivalence.process import WorkerProcess

LINEN = """
from flax import linen as nn


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.LayerNorm()(nn.Dense(4)(x))
"""
NNX = """
from flax import nnx


class Net(nnx.Module):
  def __init__(self, *, in_features: int, rngs: nnx.Rngs):
    self.linear = nnx.Linear(in_features, 4, rngs=rngs)
    self.norm = nnx.LayerNorm(4, rngs=rngs)

  def __call__(self, x):
    return self.norm(self.linear(x))
"""
KNOWN = manifest(entry('net:Net', auto('Dense', 'linear'), auto('LayerNorm', 'norm')))
CASE = Case('net', 'net:Net', inputs=('f32[2,3]',), gradients=False)


@pytest.fixture(scope='module')
def certified(tmp_path_factory):
  """Both roots, and the certificate of a first check."""
  folder = tmp_path_factory.mktemp('certified')
  write(folder / 'old', {'net.py': LINEN})
  write(folder / 'new', {'net.py': NNX})
  report = run_checks([CASE], KNOWN, folder / 'old', folder / 'new', certificate=folder / 'certificate.json')
  assert report.exit_code == 0, report
  return folder


@pytest.fixture
def asked(monkeypatch):
  """What the workers are asked, while they work as ever."""
  seen, post = [], WorkerProcess.post

  def watched(self, message):
    seen.append(message.body['do'])
    post(self, message)

  monkeypatch.setattr(WorkerProcess, 'post', watched)
  return seen


def check(folder: Path, tmp_path: Path, nnx: str):
  """Checks with another NNX source and a copy of the certificate; returns the case's result and the new certificate."""
  shutil.copy(folder / 'certificate.json', tmp_path)
  write(tmp_path / 'new', {'net.py': nnx})
  report = run_checks([CASE], KNOWN, folder / 'old', tmp_path / 'new', certificate=tmp_path / 'certificate.json')
  assert not report.failure, report.failure
  return report.cases[0], json.loads((tmp_path / 'certificate.json').read_text())


def test_it_is_as_its_schema_says_and_holds_no_path(certified):
  text = (certified / 'certificate.json').read_text()
  schema = json.loads(SCHEMA.read_text())
  jsonschema.Draft202012Validator.check_schema(schema)
  jsonschema.Draft202012Validator(schema).validate(json.loads(text))
  assert str(certified) not in text
  assert {(row['side'], row['kind']) for row in json.loads(text)['cases']['net']['programs']} >= {
    (side, kind) for side in ('linen', 'nnx') for kind in ('forward', 'init')}


def test_unchanged_code_is_only_traced_and_hashed(certified, tmp_path, asked):
  result, document = check(certified, tmp_path, f'# A comment.\n{NNX}'.replace(
    'return self.norm(self.linear(x))', 'hidden = self.linear(x)\n    return self.norm(hidden)'))
  assert set(asked) == {'versions', 'describe', 'trace'} and result.exit_code == 0
  assert result.notes[-1].startswith('unchanged since the certificate')
  assert {proof.mode: str(proof.verdict) for proof in result.proofs}['init'] == 'same program'
  assert document == json.loads((certified / 'certificate.json').read_text())


def test_a_changed_program_is_checked_and_named(certified, tmp_path, asked):
  result, document = check(certified, tmp_path, NNX.replace('LayerNorm(4,', 'LayerNorm(4, epsilon=1e-3,'))
  assert result.exit_code == 1 and 'forward' in asked
  assert [note for note in result.notes if note.startswith('checked again: the NNX program of eval (forward) changed')]
  assert not any('Linen program' in note for note in result.notes)
  assert document['cases'] == {}


def test_other_versions_and_other_cases_are_no_longer_certified(certified):
  known = read(certified / 'certificate.json')
  assert why_not(known, CASE, known.versions) == ''
  moved = {**known.versions, 'nnx': {**known.versions['nnx'], 'jax': '9.9'}}
  assert why_not(known, CASE, moved).endswith('-> 9.9 (nnx)')
  assert 'tolerance' in why_not(known, dataclasses.replace(CASE, tolerance=0.5), known.versions)
  assert 'does not have' in why_not(known, dataclasses.replace(CASE, name='other'), known.versions)
  assert 'linen2nnx 0.0 -> ' in why_not(dataclasses.replace(known, tool='0.0'), CASE, known.versions)


def test_what_is_no_certificate_is_refused(certified, tmp_path):
  (tmp_path / 'certificate.json').write_text('{"format": "else"}')
  report = run_checks([CASE], KNOWN, certified / 'old', certified / 'new', certificate=tmp_path / 'certificate.json')
  assert report.exit_code == 2 and 'no certificate of this version' in report.failure
