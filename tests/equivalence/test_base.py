"""`--base`: the Linen side comes from a git revision, in a work tree that never stays behind."""
from __future__ import annotations

import subprocess

import pytest
from check_pairs import CASE, LINEN, NNX, manifest, net_entry, write

from migrator.equivalence import Case, run_checks
from migrator.equivalence.base import revision
from migrator.failure import Failure


def git(folder, *words: str) -> str:
  identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false']
  return subprocess.run(['git', *identity, '-C', str(folder), *words], check=True, capture_output=True,
                        text=True).stdout


@pytest.fixture
def repository(tmp_path):
  """A repository whose first commit is Linen and whose work tree is NNX, below src/."""
  git(write(tmp_path, {'src/net.py': LINEN}), 'init', '-q', '-b', 'main')
  write(tmp_path, {'.git/hooks/post-checkout': '#!/bin/sh\ntouch hook-ran\n'})
  (tmp_path / '.git/hooks/post-checkout').chmod(0o755)
  git(tmp_path, 'add', 'src')
  git(tmp_path, 'commit', '-q', '-m', 'Linen')
  return write(tmp_path, {'src/net.py': NNX})


def trees(repository) -> int:
  return len(git(repository, 'worktree', 'list').splitlines())


def test_old_revision_against_work_tree(repository):
  case = Case('net', 'net:Net', **{**CASE, 'train': None, 'gradients': False})
  report = run_checks([case], manifest(net_entry('net')), None, repository / 'src', base='main')
  assert report.exit_code == 0, report
  assert trees(repository) == 1 and (repository / 'src/net.py').read_text() == NNX
  assert not list(repository.rglob('hook-ran'))


def test_work_tree_is_removed_on_failure(repository):
  with pytest.raises(ZeroDivisionError):
    with revision(repository / 'src', 'HEAD') as folder:
      assert (folder / 'net.py').read_text() == LINEN and trees(repository) == 2
      raise ZeroDivisionError
  assert trees(repository) == 1 and not folder.exists()


@pytest.mark.parametrize('name', ['nothing', '--upload-pack=x', ''])
def test_unknown_revision(repository, name):
  with pytest.raises(Failure, match='no such revision'):
    with revision(repository, name):
      pass
  assert trees(repository) == 1


def test_folder_missing_in_revision(repository):
  (repository / 'new').mkdir()
  with pytest.raises(Failure, match='new: no such folder in revision main'):
    with revision(repository / 'new', 'main'):
      pass
  assert trees(repository) == 1


def test_no_repository(tmp_path):
  report = run_checks([Case('net', 'net:Net')], manifest(net_entry('net')), None, tmp_path, base='main')
  assert report.exit_code == 2 and 'not a git repository' in report.failure
