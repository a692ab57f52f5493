"""The pytest plugin: cases are tests of the user's own run."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from check_pairs import LINEN, NNX, manifest, net_entry, write

ROOT = Path(__file__).resolve().parents[2]
CASES = """
[[tool.linen2nnx.cases]]
name = "equal"
model = "zoo.equal:Net"
inputs = ["f32[4,8,8,3]"]
gradients = false

[[tool.linen2nnx.cases]]
name = "lost"
model = "zoo.lost:Net"
inputs = ["f32[4,8,8,3]"]
gradients = false
"""


def pytest_run(folder, *options: str) -> subprocess.CompletedProcess[str]:
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
  plugins = ['-p', 'no:cacheprovider', '-p', 'no:linen2nnx', '-p', 'migrator.plugin']
  command = [sys.executable, '-m', 'pytest', *plugins]
  return subprocess.run([*command, '--rootdir', str(folder), *options], cwd=folder, env=environment,
                        capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path):
  known = manifest(net_entry('zoo.equal'), net_entry('zoo.lost')).to_json()
  write(tmp_path, {
    'old/zoo/equal.py': LINEN, 'old/zoo/lost.py': LINEN, 'new/zoo/equal.py': NNX,
    'new/zoo/lost.py': NNX.replace('x = nnx.relu(x)', 'pass')})
  return write(tmp_path, {'pyproject.toml': CASES, 'linen2nnx-manifest.json': known,
                          'test_own.py': 'def test_own(): pass\n'})


def test_cases_are_tests(project):
  done = pytest_run(project, '-v', '--linen2nnx', '--linen2nnx-linen-root=old', '--linen2nnx-nnx-root=new')
  assert done.returncode == 1, done.stdout + done.stderr
  assert '1 failed, 2 passed' in done.stdout
  assert 'equal PASSED' in done.stdout and 'lost FAILED' in done.stdout
  assert 'differs       eval' in done.stdout and 'Traceback' not in done.stdout


def test_without_the_option_nothing_is_collected(project):
  assert '1 passed' in pytest_run(project).stdout


def test_one_case_can_be_chosen(project):
  roots = ['--linen2nnx-linen-root=old', '--linen2nnx-nnx-root=new']
  done = pytest_run(project, '--linen2nnx', *roots, '-k', 'equal')
  assert done.returncode == 0 and '1 passed, 2 deselected' in done.stdout


def test_missing_linen_side_is_one_clear_line(project):
  done = pytest_run(project, '--linen2nnx')
  assert done.returncode == 1 and 'give --linen2nnx-base REV or --linen2nnx-linen-root DIR' in done.stdout


def test_bad_case_is_a_collection_error(project):
  (project / 'pyproject.toml').write_text(CASES.replace('f32[', 'f31['))
  done = pytest_run(project, '--linen2nnx', '--linen2nnx-linen-root=old')
  assert done.returncode == 2 and "case 'equal': inputs[0]" in done.stdout


def test_plugin_imports_nothing_heavy():
  code = ('import sys, migrator.plugin\n'
          'print([name for name in ("jax", "flax", "numpy", "rich") if name in sys.modules])')
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
  assert done.stdout.strip() == '[]'
