"""`--imports`: modules that imported before and do not after are named, whatever is not installed."""
from __future__ import annotations

from benchmarks.corpus.imports import absent_libraries, import_errors, no_longer_import

NET = 'import absent_one.deep\nfrom absent_two import make\nfrom flax import linen as nn\nVALUE = make(3).field\n'


def _written(folder, files):
  for name, text in files.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
  return folder


def test_what_broke_is_named_and_libraries_that_are_not_there_do_not_hide_it(tmp_path):
  data = "import pathlib\nTEXT = pathlib.Path(__file__).with_name('version.txt').read_text()\n"
  before = _written(tmp_path / 'before', {'pkg/__init__.py': '', 'pkg/net.py': NET, 'pkg/other.py': NET, 'pkg/data.py': data,
                                          'pkg/version.txt': '1', 'pkg/broken.py': 'import pkg.nothing\n'})
  after = _written(tmp_path / 'after', {'pkg/__init__.py': '', 'pkg/net.py': NET, 'pkg/other.py': NET + 'nnx.Module\n',
                                        'pkg/data.py': data, 'pkg/broken.py': 'import pkg.nothing\n'})
  files = ['pkg/net.py', 'pkg/other.py', 'pkg/data.py', 'pkg/broken.py']
  assert absent_libraries(before, []) == ['absent_one.deep', 'absent_two']
  errors, imported = no_longer_import(before, after, files, [])
  assert imported == 3
  assert list(errors) == ['pkg/other.py'] and "name 'nnx' is not defined" in errors['pkg/other.py']


def test_without_stand_ins_an_absent_library_is_an_error(tmp_path):
  root = _written(tmp_path, {'net.py': NET})
  assert import_errors(root, ['net.py'], []) == {'net.py': "ModuleNotFoundError: No module named 'absent_one'"}
