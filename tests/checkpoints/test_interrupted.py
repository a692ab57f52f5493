"""kill -9 at every step that touches the file system: no target or a whole one, and the next run cleans up."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
from trees import assert_same, restored

from migrator.checkpoints import staging
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.write import write_orbax

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Forks after the imports; each child kills itself at its n-th step.
PROGRAM = """
import json, os, pathlib, signal, sys, threading
import tensorstore
from migrator.checkpoints import encode, index, verify, write
from migrator.checkpoints.index import read, write as index_write
from migrator.checkpoints.layouts import open_checkpoint, orbax
from migrator.checkpoints.operations import evaluate
from migrator.checkpoints.expressions import transpose
import migrator.checkpoints.operations.indexed, concurrent.futures.thread, fcntl, zlib

source, folder = map(pathlib.Path, sys.argv[1:3])
copy = sys.argv[3] == 'copy'
STEPS = {'open', 'os.mkdir', 'os.link', 'os.rename', 'os.remove', 'os.rmdir', 'os.scandir', 'fcntl.flock'}

def convert(stop):
  seen = 0
  def hook(event, arguments):
    nonlocal seen
    if event in STEPS and threading.current_thread() is threading.main_thread():
      seen += 1
      if seen == stop:
        os.kill(os.getpid(), signal.SIGKILL)
  sys.addaudithook(hook)
  leaves = open_checkpoint(source).leaves()
  leaves = {path: transpose(leaf) if path[-1] == 'cube' else leaf for path, leaf in leaves.items()}
  write.write_orbax(leaves, folder / 'out', copy=copy, deep=copy, reencode=copy)

# The threads of TensorStore do not outlive a fork, so that only children open anything.
def in_child(question):
  child = os.fork()
  if not child:
    answer = False
    try:
      answer = question()
    finally:
      os._exit(0 if answer else 1)
  return os.waitpid(child, 0)[1] == 0

found = []
for stop in range(1, 1000):
  child = os.fork()
  if not child:
    try:
      convert(stop)
    finally:
      os._exit(0)
  _, status = os.waitpid(child, 0)
  names = sorted(os.listdir(folder))
  is_whole = (folder / 'out').exists() and in_child(
    lambda: len(open_checkpoint(folder / 'out').leaves()) == len(open_checkpoint(source).leaves()))
  found.append((stop, os.WIFSIGNALED(status), names, is_whole))
  if not os.WIFSIGNALED(status):
    break
  for left in folder.glob('.out.*'):
    os.utime(left, (0, 0))  # the next run is not within the same second
  if (folder / 'out').exists():
    (folder / 'out').rename(folder / 'kept')
    import shutil; shutil.rmtree(folder / 'kept')
print(json.dumps(found))
"""


def contents(folder):
  return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob('*')) if file.is_file()}


@pytest.mark.parametrize('way', ['link', 'copy'])
def test_killed_at_every_step(item, tmp_path, way):
  before = contents(item)
  done = subprocess.run([sys.executable, '-c', PROGRAM, item, tmp_path, way], cwd=ROOT, capture_output=True, text=True,
                        check=False, timeout=300)
  assert done.returncode == 0, done.stderr[-2000:]
  runs = json.loads(done.stdout)
  assert len(runs) > 30 and not runs[-1][1]
  for stop, killed, names, is_whole in runs:
    assert ('out' in names) == is_whole, (stop, names)
    assert killed or names == ['out'], (stop, names)
    assert len(names) <= 2, f'step {stop}: what earlier runs left is still there: {names}'
  assert contents(item) == before


def test_a_running_conversion_is_left_alone(tmp_path):
  target = tmp_path / 'out'
  with staging.staged(target) as place:
    place.mkdir()
    staging.clean(target)
    assert place.is_dir()
  assert os.listdir(tmp_path) == ['out']


def test_a_target_that_appears_meanwhile_is_kept(tmp_path):
  target = tmp_path / 'out'
  with pytest.raises(CheckpointError, match='exists already'), staging.staged(target) as place:
    place.mkdir()
    target.write_text('mine')
  assert target.read_text() == 'mine' and os.listdir(tmp_path) == ['out']


def test_what_was_left_is_cleaned_whatever_the_name(tmp_path):
  for name in ('o[1]*', 'plain'):
    left = tmp_path / f'.{name}.abc{staging.SUFFIX}'
    left.mkdir()
    (left / 'lock').touch()
    (left / 'new').mkdir()
  with staging.staged(tmp_path / 'o[1]*') as place:
    place.mkdir()
  assert sorted(os.listdir(tmp_path)) == sorted([f'.plain.abc{staging.SUFFIX}', 'o[1]*'])


def test_a_link_in_the_place_of_a_left_folder_is_not_followed(tmp_path):
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / 'precious').touch()
  (tmp_path / f'.out.abc{staging.SUFFIX}').symlink_to(tmp_path / 'mine')
  with staging.staged(tmp_path / 'out') as place:
    place.mkdir()
  assert (tmp_path / 'mine' / 'precious').exists()


def test_two_conversions_at_once(item, tmp_path):
  failures = []

  def run():
    try:
      write_orbax(open_checkpoint(item).leaves(), tmp_path / 'out')
    except CheckpointError as error:
      failures.append(str(error))
  threads = [threading.Thread(target=run) for _ in range(3)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(failures) == 2 and all('exists already' in text or 'appeared' in text for text in failures)
  assert os.listdir(tmp_path) == ['out']
  assert_same(restored(tmp_path / 'out'), restored(item))


def test_a_young_folder_without_a_lock_is_left_alone(tmp_path):
  left = tmp_path / f'.out.abc{staging.SUFFIX}'
  left.mkdir()
  staging.clean(tmp_path / 'out')
  assert left.is_dir()
  os.utime(left, (time.time() - 60,) * 2)
  staging.clean(tmp_path / 'out')
  assert not left.exists()
