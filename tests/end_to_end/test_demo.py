"""The demonstration: every command of it succeeds on its own small repository."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DRIVER = Path(__file__).resolve().parents[2] / 'fixtures' / 'demo' / 'run_demo.py'


def run(*words: object) -> subprocess.CompletedProcess[str]:
  return subprocess.run([sys.executable, str(DRIVER), *map(str, words)], capture_output=True, text=True)


def test_demo_goes_through_and_leaves_its_results(tmp_path):
  done = run(tmp_path / 'demo')
  assert done.returncode == 0, done.stdout + done.stderr
  assert '8 of 8 cases equal' in done.stdout
  migrated = tmp_path / 'demo' / 'zoo_nnx'
  assert 'nnx.Module' in (migrated / 'zoo' / 'resnet.py').read_text()
  assert (migrated / 'linen2nnx-manifest.json').is_file()
  assert (tmp_path / 'demo' / 'checkpoint_nnx').is_dir()


def test_demo_does_not_touch_a_folder_it_did_not_make(tmp_path):
  (tmp_path / 'mine.txt').write_text('keep')
  done = run(tmp_path)
  assert done.returncode == 1
  assert 'name another folder' in done.stderr
  assert (tmp_path / 'mine.txt').read_text() == 'keep'
