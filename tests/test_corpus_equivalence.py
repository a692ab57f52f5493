"""Comparing classes of packages: what is copied, what stands in, and verdicts that are not overlooked."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.corpus.closure import needed
from benchmarks.corpus.compare_package import cases_file, compare_package
from benchmarks.corpus.equivalence_table import equal_classes, faults, markdown
from benchmarks.corpus.packages import Package, read_table
from benchmarks.corpus.reduced import write_reduced
from migrator.equivalence import Case
from migrator.equivalence.case_files import read_cases

FILES = {
  'pkg/__init__.py': 'import heavy_library\nfrom pkg.unused import broken\n__version__ = "1"\n',
  'pkg/unused.py': 'raise ImportError\n',
  'pkg/tools/__init__.py': 'import heavy_library\nfrom .math import twice\nfrom . import math, other\n',
  'pkg/tools/math.py': 'from pkg import __version__\ndef twice(x):\n  return 2 * x\n',
  'pkg/tools/other.py': 'raise ImportError\n',
  'pkg/model.py': ('import absent_library\nimport flax.linen as nn\nfrom absent_library.sub import Base\n'
                   'from pkg import tools\nfrom .tools import twice\n'
                   'try:\n  import never_library\nexcept ImportError:\n  never_library = None\n\n\n'
                   'class Agent(Base):\n  pass\n\n\n'
                   'class Mlp(nn.Module):\n  features: int\n\n  @nn.compact\n  def __call__(self, x):\n'
                   '    return tools.math.twice(nn.Dense(self.features)(x)) + twice(x).sum()\n'),
}
CASES = """[[cases]]
name = 'mlp'
model = 'pkg.model:Mlp'
arguments = { features = 3 }
inputs = ['f32[2,4]']
"""


@pytest.fixture
def source(tmp_path):
  for name, text in FILES.items():
    place = tmp_path / 'source' / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
  return tmp_path / 'source'


def test_only_what_is_needed_is_followed(source):
  closure = needed(source, ['pkg.model'])
  assert closure.modules == {'pkg.model', 'pkg.tools.math'}
  assert closure.foreign == {'absent_library', 'absent_library.sub', 'flax.linen'}
  assert "__version__ = '1'" in closure.exports['pkg']


def test_the_reduced_folder_can_be_imported_and_stand_ins_cannot_be_called(source, tmp_path):
  case = Case('mlp', 'pkg.model:Mlp')
  assert write_reduced(source, [case], tmp_path / 'root', tmp_path / 'stand') == [
    'absent_library', 'absent_library.sub']
  code = ('import pkg.model, absent_library\nassert pkg.model.never_library is None\npkg.model.Agent\n'
          'try:\n  absent_library.run()\nexcept ImportError as error:\n  print(error)\n')
  paths = os.pathsep.join([str(tmp_path / 'root'), str(tmp_path / 'stand')])
  done = subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': paths}, text=True,
                        capture_output=True, check=False)
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == 'absent_library.run is called, but absent_library is not installed'


def test_both_sides_are_run_and_compared(source, tmp_path, monkeypatch):
  monkeypatch.setattr('benchmarks.corpus.compare_package.CASES', tmp_path)
  (tmp_path / 'pkg.toml').write_text(CASES)
  seen = compare_package(Package('pkg', '1'), source, tmp_path / 'cache', 300)
  assert [(case['verdict'], case['model']) for case in seen['cases']] == [('bitwise', 'pkg.model:Mlp')]
  assert 'eval gradient of params' in seen['cases'][0]['parts']
  rows = [{'package': 'pkg-1', 'equivalence': seen}]
  assert equal_classes(rows) == (1, 1)
  assert faults(rows, complete=False) == []
  assert 'there must be 25' in faults(rows, complete=True)[0]


@pytest.mark.parametrize('verdict', ['differs', 'error'])
def test_a_case_that_is_not_equal_is_a_fault(verdict):
  case = {'name': 'c', 'model': 'm:C', 'verdict': verdict, 'relative_error': 0.0, 'parts': {},
          'detail': 'why'}
  rows = [{'package': 'p-1', 'equivalence': {'cases': [case], 'stood_in_for': [], 'versions': {}}}]
  assert faults(rows, complete=False) == [f'c: {verdict}: why']
  assert f'- c: {verdict}: why' in markdown(rows, complete=False)
  assert equal_classes(rows) == (0, 0)


def test_every_file_of_cases_belongs_to_a_package_and_can_be_read():
  files = {cases_file(package) for package in read_table()}
  found = sorted(cases_file(read_table()[0]).parent.glob('*.toml'))
  assert found and set(found) <= files
  assert sum(len(read_cases(file)) for file in found) >= 60
