"""The laws about writing, through the command line: all or nothing, a clean git tree, and --explain."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.programs import all_programs

MANIFEST = 'linen2nnx-manifest.json'


def linen2nnx(*words, cwd):
  """Runs the command in a process of its own."""
  return subprocess.run([sys.executable, '-m', 'migrator', *map(str, words)], cwd=cwd,
                        capture_output=True, text=True, env=_environment())


def _environment():
  return {**os.environ, 'PYTHONPATH': str(Path(__file__).resolve().parents[2])}


def git(folder, *words):
  identity = ['-c', 'user.name=tester', '-c', 'user.email=tester@localhost']
  subprocess.run(['git', *identity, *words], cwd=folder, check=True, capture_output=True)


def snapshot(folder):
  return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob('*'))
          if path.is_file() and '.git' not in path.relative_to(folder).parts}


@pytest.fixture
def repository(tmp_path):
  """A committed repository with two small programs."""
  folder = tmp_path / 'repository'
  folder.mkdir()
  for program in all_programs():
    if program.name in ('compact_mlp', 'explicit_names'):
      (folder / f'{program.name}.py').write_bytes(program.sources()[f'{program.name}.py'])
  (folder / 'pyproject.toml').write_text('[project]\nname = "fixture"\n')
  git(folder, 'init', '-q')
  git(folder, 'add', '.')
  git(folder, 'commit', '-q', '-m', 'start')
  return folder


def test_without_write_nothing_is_written_and_the_diff_is_shown(repository):
  before = snapshot(repository)
  done = linen2nnx('migrate', '.', cwd=repository)
  assert done.returncode == 0, done.stderr
  assert snapshot(repository) == before
  assert '+class Mlp(nnx.Module):' in done.stdout


def test_write_changes_the_files_and_leaves_a_manifest(repository):
  done = linen2nnx('migrate', '.', '--write', cwd=repository)
  assert done.returncode == 0, done.stderr
  after = snapshot(repository)
  assert b'nnx.Module' in after['compact_mlp.py'] and b'nnx.Module' in after['explicit_names.py']
  assert MANIFEST in after


def test_l2_a_second_write_changes_nothing(repository):
  assert linen2nnx('migrate', '.', '--write', cwd=repository).returncode == 0
  git(repository, 'add', '.')
  git(repository, 'commit', '-q', '-m', 'migrated')
  before = snapshot(repository)
  done = linen2nnx('migrate', '.', '--write', cwd=repository)
  assert done.returncode == 0, done.stderr
  assert snapshot(repository) == before


def test_l4_a_dirty_tree_is_refused_and_named(repository):
  file = repository / 'compact_mlp.py'
  file.write_text(file.read_text() + '\n# an edit\n')
  before = snapshot(repository)
  done = linen2nnx('migrate', '.', '--write', cwd=repository)
  assert done.returncode == 2
  assert 'compact_mlp.py' in done.stderr and '--allow-dirty' in done.stderr
  assert snapshot(repository) == before
  assert linen2nnx('migrate', '.', '--write', '--allow-dirty', cwd=repository).returncode == 0
  assert snapshot(repository) != before


def test_l4_nothing_is_written_when_one_file_cannot_be_read(repository):
  (repository / 'broken.py').write_text('import flax.linen as nn\nclass Broken(nn.Module:\n')
  git(repository, 'add', '.')
  git(repository, 'commit', '-q', '-m', 'broken')
  before = snapshot(repository)
  done = linen2nnx('migrate', '.', '--write', cwd=repository)
  assert done.returncode == 2
  assert 'broken.py:2' in done.stderr
  assert snapshot(repository) == before


def test_l4_nothing_is_written_when_writing_fails(repository):
  # A folder stands where the manifest must go, so the last file of the set cannot be written.
  (repository / MANIFEST).mkdir()
  before = snapshot(repository)
  done = linen2nnx('migrate', '.', '--write', cwd=repository)
  assert done.returncode == 2
  assert MANIFEST in done.stderr
  assert snapshot(repository) == before


def test_out_leaves_the_originals_alone(repository, tmp_path):
  before = snapshot(repository)
  done = linen2nnx('migrate', '.', '--out', tmp_path / 'ported', cwd=repository)
  assert done.returncode == 0, done.stderr
  assert snapshot(repository) == before
  assert b'nnx.Module' in (tmp_path / 'ported' / 'compact_mlp.py').read_bytes()
  assert (tmp_path / 'ported' / MANIFEST).is_file()


def test_l8_explain_tells_where_sizes_and_names_came_from(repository):
  done = linen2nnx('migrate', 'explicit_names.py:Trunk', '--explain', cwd=repository)
  assert done.returncode == 0, done.stderr
  assert 'in_features <- ' in done.stdout
  assert 'Dense_0 -> ' in done.stdout and 'input_projection -> input_projection' in done.stdout


def test_l8_explain_of_an_unknown_class_names_those_there_are(repository):
  done = linen2nnx('migrate', 'explicit_names.py:Missing', '--explain', cwd=repository)
  assert done.returncode == 2
  assert 'Trunk' in done.stderr
