"""The corpus: its table, the safe unpacking of what was downloaded, and faults that are not overlooked."""
from __future__ import annotations

import stat
import zipfile

import pytest

from benchmarks.corpus.packages import CorpusError, linen_files, read_table, unpack
from benchmarks.corpus.probe import does_not_compile, general
from benchmarks.corpus.table import faults, markdown

ROW = {'package': 'p-1', 'classes': 3, 'native': 1, 'helper': 1, 'bridged': 1, 'left': 0,
       'reasons': {'… has no rewrite': 1}, 'findings': {'warning': 2}, 'no_longer_compile': {},
       'changed_by_second_run': [], 'seconds': 1.0, 'cpu_seconds': 1.0, 'parse_cpu_seconds': 0.5,
       'ratio_to_parsing': 2.0, 'peak_megabytes': 100.0}


def archive(path, name, mode=0o644):
  with zipfile.ZipFile(path, 'w') as wheel:
    wheel.writestr('good.py', 'x = 1\n')
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    wheel.writestr(entry, 'target')
  return path


def test_every_package_is_pinned_once():
  table = read_table()
  assert len({package.name for package in table}) == len(table) >= 14
  assert all(package.version[0].isdigit() for package in table)


def test_unpacking_gives_the_files(tmp_path):
  unpack(archive(tmp_path / 'a.whl', 'pkg/m.py'), tmp_path / 'out')
  assert (tmp_path / 'out/pkg/m.py').read_text() == 'target'


@pytest.mark.parametrize('name, mode', [
    ('../outside.py', 0o644), ('pkg/../../outside.py', 0o644), ('/etc/outside', 0o644),
    ('..\\outside.py', 0o644), ('C:\\outside.py', 0o644), ('link.py', stat.S_IFLNK | 0o777),
])
def test_unpacking_refuses_what_leads_outside_before_it_writes(tmp_path, name, mode):
  with pytest.raises(CorpusError, match='leads outside or is a link'):
    unpack(archive(tmp_path / 'a.whl', name, mode), tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_linen_files_are_those_that_import_it(tmp_path):
  texts = {'a.py': 'import flax.linen as nn\n', 'b.py': 'from flax import struct, linen as nn\n',
           'c.py': 'import flax\n', 'd.py': '# linen\n'}
  for name, text in texts.items():
    (tmp_path / name).write_text(text)
  assert [file.name for file in linen_files(tmp_path)] == ['a.py', 'b.py']


def test_a_file_that_does_not_compile_is_seen(tmp_path):
  (tmp_path / 'm.py').write_text('def f():\n  return 1\n return 2\n')
  assert 'IndentationError' in does_not_compile(tmp_path / 'm.py')
  (tmp_path / 'm.py').write_text('def f():\n  return 1\n')
  assert does_not_compile(tmp_path / 'm.py') is None


def test_equal_reasons_count_together():
  assert general('`nn.Foo` has no rewrite (line 12)') == general('`nn.Bar` has no rewrite (line 3)')


@pytest.mark.parametrize('change, fault', [
    ({'no_longer_compile': {'m.py': 'SyntaxError'}}, 'no longer compiles'),
    ({'changed_by_second_run': ['m.py']}, 'a second run changes m.py'),
    ({'no_longer_import': {'m.py': 'ImportError'}}, 'no longer imports'),
    ({'failure': 'timeout'}, 'timeout'),
])
def test_every_fault_is_told(change, fault):
  row = {**ROW, **change}
  assert fault in faults(row)[0] and fault in markdown([row])


def test_the_table_adds_up():
  lines = markdown([ROW, {**ROW, 'package': 'q-1'}]).splitlines()
  assert [cell.strip() for cell in lines[4].split('|')[1:7]] == ['total', '6', '2', '2', '2', '0']
  assert '- 2 x … has no rewrite' in lines
  assert faults(ROW) == []
