"""The worker processes: messages survive what user code does, every way to fail is one clear answer."""
from __future__ import annotations

import io
import json

import ml_dtypes
import numpy as np
import pytest
from check_pairs import CASE, LINEN, NNX, entry, manifest, net_entry, write

from migrator.equivalence import Case, Checker, run_checks
from migrator.equivalence.process import WorkerError, WorkerProcess
from migrator.equivalence.protocol import Message, ProtocolError, receive, send

BREAKING = """
import os, sys, time
from flax import {library}


class Exits({base}):
  def __init__(self, *args, **keywords): sys.exit(3)


class Dies({base}):
  def __init__(self, *args, **keywords):
    print('last words')
    sys.stdout.flush()
    os._exit(7)


class Sleeps({base}):
  def __init__(self, *args, **keywords): time.sleep(60)


class Raises({base}):
  def __init__(self, *args, **keywords): raise ValueError('a message\\nof two lines')


class Plain:
  pass
"""


def test_messages_round_trip():
  arrays = {('a', 'x/y'): np.arange(6, dtype=np.int8).reshape(2, 3),
            ('b',): np.array(1.5, ml_dtypes.bfloat16),
            ('c',): np.zeros((0, 3), bool), ('d',): np.array([1j], np.complex64)}
  stream = io.BytesIO()
  send(stream, Message({'do': 'it', 'n': [1, None]}, arrays))
  send(stream, Message({}))
  stream.seek(0)
  found = receive(stream)
  assert found.body == {'do': 'it', 'n': [1, None]} and found.group('a').keys() == {('x/y',)}
  for path, array in arrays.items():
    assert found.arrays[path].dtype == array.dtype and found.arrays[path].shape == array.shape
    assert found.arrays[path].tobytes() == array.tobytes()
  assert receive(stream).body == {} and receive(stream) is None


@pytest.mark.parametrize('data', [b'hello', b'hello, this is a print of the user', bytes(16)])
def test_what_is_no_message_is_refused(data):
  with pytest.raises(ProtocolError):
    receive(io.BytesIO(data))


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
  linen, nnx = tmp_path_factory.mktemp('linen'), tmp_path_factory.mktemp('nnx')
  write(linen, {'net.py': LINEN, 'breaking.py': BREAKING.format(library='linen as nn', base='nn.Module'),
                'gone.py': LINEN})
  write(nnx, {'net.py': NNX, 'breaking.py': BREAKING.format(library='nnx', base='nnx.Module'),
              'gone.py': NNX.replace('class Net', 'class Other')})
  return linen, nnx


@pytest.fixture(scope='module')
def checker(roots):
  breaking = [entry(f'breaking:{name}', size='') for name in ('Exits', 'Dies', 'Raises', 'Plain', 'Nowhere')]
  others = [net_entry('net'), net_entry('gone'), net_entry('nowhere'), net_entry('json'),
            entry('breaking:Left', outcome='bridged')]
  with Checker(manifest(*breaking, *others), *roots) as checker:
    yield checker


@pytest.mark.parametrize('model, words', [
  ('breaking:Exits', ['linen: SystemExit: 3', 'breaking.py:']),
  ('breaking:Raises', ['linen: ValueError: a message of two lines', 'breaking.py:22 in __init__']),
  ('breaking:Dies', ['the linen process ended with exit code 7', 'last words']),
  ('breaking:Plain', ['no flax.linen.Module']),
  ('breaking:Nowhere', ['linen: breaking:Nowhere: module breaking has no class Nowhere']),
  ('breaking:Left', ['was not migrated (it is bridged)']),
  ('gone:Net', ['nnx: gone:Net: module gone has no class Net']),
  ('nowhere:Net', ['linen: nowhere:Net: there is no module nowhere']),
  ('json:Net', ['imported from elsewhere']),
  ('unknown:Net', ['unknown:Net is not in the manifest', 'net:Net']),
])
def test_failures_are_told_and_the_next_case_runs(checker, model, words):
  result = checker.check(Case('broken', model, **CASE))
  assert result.exit_code == 2
  assert all(word in result.failure for word in words), result.failure
  assert checker.check(Case('fine', 'net:Net', **{**CASE, 'train': None, 'gradients': False})).exit_code == 0


def test_class_that_is_not_there_is_one_line(roots):
  report = run_checks([Case('gone', 'gone:Net', **CASE)], manifest(net_entry('gone')), *roots)
  assert report.exit_code == 2
  assert report.cases[0].failure == 'nnx: gone:Net: module gone has no class Net'


def test_time_limit_ends_the_worker(roots):
  with Checker(manifest(entry('breaking:Sleeps', size='')), *roots, timeout=4) as checker:
    result = checker.check(Case('slow', 'breaking:Sleeps', **CASE))
  assert 'gave no answer within 4 seconds' in result.failure and result.exit_code == 2


def test_versions_and_prints_do_not_disturb(roots):
  with WorkerProcess('linen', roots[0]) as worker:
    body = {'do': 'prepare', 'case': Case('net', 'net:Net', **CASE).to_json()}
    assert 'digest' in worker.ask(Message(body), 60).body
    assert 'the Linen module speaks' in worker.tail() and 'called' in worker.tail()


def test_worker_that_cannot_start(roots, tmp_path, monkeypatch):
  write(tmp_path, {'flax/__init__.py': 'raise ImportError("a broken flax")'})
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  with WorkerProcess('linen', roots[0]) as worker, pytest.raises(WorkerError) as error:
    worker.ask(Message({'do': 'versions'}), 60)
  assert 'a broken flax' in error.value.trace
  report = run_checks([Case('net', 'net:Net', **CASE)], manifest(net_entry('net')), *roots)
  assert report.exit_code == 2 and 'a broken flax' in report.failure


def test_report_file_names_no_folder_of_the_machine(roots, tmp_path):
  file = tmp_path / 'report.json'
  cases = [Case('net', 'net:Net', **{**CASE, 'gradients': False}), Case('bad', 'breaking:Raises', **CASE)]
  known = manifest(net_entry('net'), entry('breaking:Raises', size=''))
  (tmp_path / 'manifest.json').write_text(known.to_json())
  report = run_checks(cases, tmp_path / 'manifest.json', *roots, report_json=file)
  document = json.loads(file.read_text())
  assert document['exit_code'] == report.exit_code == 2
  assert document['versions']['nnx'].keys() == {'python', 'flax', 'jax'}
  assert str(roots[0].parent) not in file.read_text()


@pytest.mark.parametrize('changes, words', [
  ({'base': None, 'linen_root': None}, 'one of the two'), ({'cases': []}, 'no cases'),
  ({'manifest': 'nothing.json'}, 'cannot be read')])
def test_a_wrong_call_is_a_failure_report(roots, tmp_path, changes, words):
  given = {'cases': [Case('net', 'net:Net', **CASE)], 'manifest': manifest(), 'linen_root': roots[0],
           'nnx_root': roots[1], **changes}
  if isinstance(given['manifest'], str):
    given['manifest'] = tmp_path / given['manifest']
  report = run_checks(**given)
  assert report.exit_code == 2 and words in report.failure
