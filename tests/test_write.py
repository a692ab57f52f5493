"""Writing files: all or none, whatever fails, and the question whether git has everything."""
from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import subprocess
import tempfile

import pytest

from migrator.codemod.git import git_dirty
from migrator.codemod.write import write_files
from migrator.failure import Failure

NOBODY = 65534


def snapshot(folder):
  """Every file below a folder with its bytes and mode."""
  return {path.relative_to(folder).as_posix(): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
          for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.fixture
def tree(tmp_path):
  (tmp_path / 'one.py').write_bytes(b'a = 1\n')
  (tmp_path / 'two.py').write_bytes(b'b = 1\r\n')
  os.chmod(tmp_path / 'two.py', 0o754)
  return tmp_path


def test_writes_keeps_modes_and_line_endings_and_leaves_nothing_else(tree):
  texts = {tree / 'one.py': 'a = 2\n', tree / 'two.py': 'b = 2\r\n', tree / 'new/deep/c.py': 'c\n'}
  written = write_files(texts)
  assert [path.name for path in written] == ['c.py', 'one.py', 'two.py']
  after = snapshot(tree)
  assert {name: content for name, (content, _) in after.items()} == {
      'one.py': b'a = 2\n', 'two.py': b'b = 2\r\n', 'new/deep/c.py': b'c\n'}
  assert after['two.py'][1] == 0o754


def test_new_file_has_the_mode_an_editor_would_give(tree):
  write_files({tree / 'new.py': 'x\n'})
  plain = tree / 'plain.py'
  plain.write_text('x\n')
  assert (tree / 'new.py').stat().st_mode == plain.stat().st_mode


def test_symbolic_link_is_followed_to_the_real_file(tree):
  (tree / 'link.py').symlink_to('one.py')
  write_files({tree / 'link.py': 'a = 3\n'})
  assert (tree / 'link.py').is_symlink()
  assert (tree / 'one.py').read_text() == 'a = 3\n'


def test_two_names_of_one_file_must_agree(tree):
  (tree / 'link.py').symlink_to('one.py')
  before = snapshot(tree)
  with pytest.raises(Failure, match='two names of one file'):
    write_files({tree / 'link.py': 'x\n', tree / 'one.py': 'y\n'})
  assert snapshot(tree) == before


@pytest.mark.parametrize('fails_at', [0, 1, 2, 3])
def test_failed_rename_puts_everything_back(tree, monkeypatch, fails_at):
  before = snapshot(tree)
  real, calls = os.replace, []

  def failing(source, target):
    calls.append(target)
    if len(calls) == fails_at + 1:
      raise OSError(28, 'No space left on device', str(target))
    real(source, target)

  texts = {tree / 'one.py': 'x\n', tree / 'two.py': 'y\n', tree / 'new/c.py': 'z\n', tree / 'z.py': 'w\n'}
  monkeypatch.setattr(os, 'replace', failing)
  with pytest.raises(Failure, match='No space left on device; nothing was written'):
    write_files(texts)
  assert snapshot(tree) == before
  assert not (tree / 'new').exists()


def test_interrupt_between_renames_puts_everything_back(tree, monkeypatch):
  before = snapshot(tree)
  real = os.replace

  def interrupted(source, target):
    monkeypatch.setattr(os, 'replace', real)
    real(source, target)
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'replace', interrupted)
  with pytest.raises(KeyboardInterrupt):
    write_files({tree / 'one.py': 'x\n', tree / 'two.py': 'y\n'})
  assert snapshot(tree) == before


def test_a_file_where_a_folder_is_needed_writes_nothing(tree):
  before = snapshot(tree)
  with pytest.raises(Failure, match='nothing was written'):
    write_files({tree / 'one.py': 'x\n', tree / 'two.py/inner.py': 'y\n'})
  assert snapshot(tree) == before


@contextlib.contextmanager
def ordinary_user(folder):
  """Permissions bind everybody but the superuser: become somebody else for a while, if that is who we are."""
  if os.geteuid() != 0:
    yield
    return
  for path in (folder, *folder.rglob('*')):
    os.chown(path, NOBODY, NOBODY)
  os.seteuid(NOBODY)
  try:
    yield
  finally:
    os.seteuid(0)


def test_read_only_folder_writes_nothing():
  with tempfile.TemporaryDirectory() as name:
    tree = pathlib.Path(name)
    locked = tree / 'z_locked'
    locked.mkdir()
    (tree / 'one.py').write_text('a = 1\n')
    (locked / 'm.py').write_text('m = 1\n')
    before = snapshot(tree)
    with ordinary_user(tree):
      os.chmod(locked, 0o555)
      with pytest.raises(Failure, match='z_locked.*Permission denied; nothing was written'):
        write_files({tree / 'one.py': 'x\n', locked / 'm.py': 'y\n'})
      os.chmod(locked, 0o755)
    assert snapshot(tree) == before


def test_folder_as_target_is_refused(tree):
  (tree / 'folder.py').mkdir()
  with pytest.raises(Failure, match='is a folder'):
    write_files({tree / 'folder.py': 'x\n'})


def test_file_edited_meanwhile_is_refused(tree):
  before = snapshot(tree)
  with pytest.raises(Failure, match=r'one\.py: changed while it was being migrated'):
    write_files({tree / 'one.py': 'x\n', tree / 'two.py': 'y\n'}, {tree / 'one.py': 'a = 0\n'})
  assert snapshot(tree) == before


def test_line_endings_and_byte_order_mark_do_not_count_as_an_edit(tree):
  (tree / 'bom.py').write_bytes(b'\xef\xbb\xbfa = 1\n')
  write_files({tree / 'two.py': 'y\r\n', tree / 'bom.py': 'z\n'},
              {tree / 'two.py': 'b = 1\n', tree / 'bom.py': 'a = 1\n'})
  assert (tree / 'two.py').read_bytes() == b'y\r\n'


def git(folder, *arguments):
  subprocess.run(['git', '-C', str(folder), '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments],
                 check=True, capture_output=True)


def test_git_dirty_counts_tracked_changes_and_untracked_sources(tree):
  assert git_dirty(tree, [tree]) is None
  git(tree, 'init', '-q')
  (tree / '.gitignore').write_text('ignored.py\n')
  git(tree, 'add', '.')
  git(tree, 'commit', '-q', '-m', 'start')
  assert git_dirty(tree, [tree]) == []
  (tree / 'sub').mkdir()
  (tree / 'sub/näw file.py').write_text('')
  (tree / 'notes.txt').write_text('')
  (tree / 'ignored.py').write_text('')
  (tree / 'two.py').unlink()
  assert git_dirty(tree, [tree]) == ['sub/näw file.py', 'two.py']
  assert git_dirty(tree, [tree / 'one.py']) == []
  assert git_dirty(tree / 'sub', [tree / 'sub']) == ['näw file.py']
