"""Which files are read, and what happens to those that cannot be."""
from __future__ import annotations

from migrator.source import read_project
from tests.source.repository import linen, project, write

NET = 'import flax.linen as nn\nclass Net(nn.Module): pass\n'


def test_files_without_flax_are_not_parsed(tmp_path):
  found = project(tmp_path, {'net.py': NET, 'broken.py': 'def (\n', 'binary.py': b'\xff\xfe\x00'})
  assert list(found.modules) == ['net']
  assert found.errors == []


def test_generated_and_hidden_folders_are_skipped(tmp_path):
  found = project(tmp_path, {
    'net.py': NET, '.hidden/a.py': NET, '.venv/a.py': NET, 'build/a.py': NET, 'env/pyvenv.cfg': '',
    'env/a.py': NET, 'node_modules/a.py': NET, 'x/site-packages/a.py': NET, '__pycache__/a.py': NET})
  assert list(found.modules) == ['net']


def test_unreadable_files_are_errors_with_their_line(tmp_path):
  found = project(tmp_path, {
    'net.py': NET, 'broken.py': 'import flax\n\ndef (\n', 'latin.py': b'# flax\n# \xe9\n',
    'zero.py': b'import flax\n\0\n',
    'deep.py': 'import flax\nx = ' + '(' * 500 + ')' * 500 + '\n'})
  errors = {item.file: (item.code, item.line) for item in found.errors}
  assert errors['broken.py'] == ('syntax-error', 3)
  assert errors['latin.py'] == ('not-utf8', 2)
  assert errors['zero.py'][0] == 'syntax-error'
  assert errors['deep.py'][0] in ('syntax-error', 'too-deep')
  assert all(item.level == 'error' and item.file in item.message for item in found.errors)
  assert linen(found) == {'net:Net'}


def test_a_very_deep_expression_does_not_stop_the_others(tmp_path):
  found = project(tmp_path, {'net.py': NET, 'deep.py': 'import flax\nx = ' + '+'.join(['1'] * 50_000) + '\n'})
  assert 'net:Net' in linen(found)


def test_wrong_paths_are_errors(tmp_path):
  write(tmp_path, {'repo/net.py': NET, 'repo/notes.txt': '', 'other/net.py': NET})
  repo = tmp_path / 'repo'
  found = read_project([repo, repo / 'notes.txt', repo / 'gone.py', tmp_path / 'other'], repo)
  assert {item.code for item in found.errors} == {'not-python', 'missing-path', 'outside-root'}
  assert linen(found) == {'net:Net'}


def test_text_is_kept_as_on_disk(tmp_path):
  windows = 'import flax.linen as nn\r\nclass Net(nn.Module): pass\r\n'
  found = project(tmp_path, {'net.py': '\ufeff' + windows, 'unix.py': NET})
  module = found.module_of(tmp_path / 'net.py')
  assert module.text == '\ufeff' + windows and module.newline == '\r\n'
  assert found.modules['unix'].newline == '\n'
  assert linen(found) == {'net:Net', 'unix:Net'}


def test_a_module_hidden_by_a_package_is_an_error(tmp_path):
  found = project(tmp_path, {'net.py': NET, 'net/__init__.py': NET})
  assert [(item.file, item.code) for item in found.errors] == [('net.py', 'hidden-module')]
  assert found.modules['net'].relative == 'net/__init__.py'


def test_imported_modules_are_there_without_mentioning_flax(tmp_path):
  found = project(tmp_path, {
    'net.py': 'from config import Config\nfrom helpers import width\nimport flax\n',
    'config.py': 'class Config: pass\n', 'helpers.py': 'import deeper\ndef width(): pass\n',
    'deeper.py': 'def f(): pass\n', 'unused.py': 'x = 1\n'})
  assert list(found.modules) == ['config', 'helpers', 'net']
  assert 'config:Config' in found.classes
  assert found.function('deeper:f')[0].name == 'deeper'
  assert list(found.modules) == ['config', 'helpers', 'net']
