"""Notebooks: cells become one module and go back; magics stand aside; every other byte stays."""
from __future__ import annotations

import ast
import json

import pytest

from migrator.source.notebooks import Notebook, NotebookError
from migrator.source.notebooks.magics import with_magics, without_magics


def document(*sources, **more):
  """A notebook with a text cell before, and outputs behind each cell."""
  cells = [{'cell_type': 'markdown', 'source': ['# Title é\n', 'import nothing'], 'metadata': {}}]
  cells += [{'outputs': [{'data': {'text/plain': ['<é>']}, 'source': ['import os\n']}], 'cell_type': 'code',
             'source': source, 'metadata': {'z': 1, 'a': [1, 2.50]}, 'execution_count': None} for source in sources]
  return {'nbformat_minor': 4, 'cells': cells, 'metadata': {'kernelspec': {'language': 'python'}}, 'nbformat': 4, **more}


FORMS = {
  'jupyter': {'indent': 1, 'ensure_ascii': False},
  'escaped': {'indent': 1},
  'one line': {},
  'compact': {'separators': (',', ':')},
  'tabs': {'indent': '\t', 'ensure_ascii': False},
  'sorted': {'indent': 2, 'sort_keys': True},
}


@pytest.mark.parametrize('end', ['\n', ''])
@pytest.mark.parametrize('form', FORMS)
def test_only_the_changed_cell_is_written_anew(form, end):
  write = lambda *sources: json.dumps(document(*sources), **FORMS[form]) + end
  raw = write(['import os\n', '\n', 'é = "\\n"'], 'y = 1', ['y\n'], [])
  notebook = Notebook(raw)
  assert notebook.with_text(notebook.text) == raw
  text = notebook.text.replace('import os', 'import sys\nimport é').replace('y = 1', 'y = "ü"\nz = 2')
  assert notebook.with_text(text) == write(
    ['import sys\n', 'import é\n', '\n', 'é = "\\n"'], 'y = "ü"\nz = 2', ['y\n'], [])


def test_windows_line_ends_of_the_file_stay():
  raw = json.dumps(document(['a = 1\n', 'b = 2']), indent=1).replace('\n', '\r\n')
  notebook = Notebook(raw)
  after = notebook.with_text(notebook.text.replace('b = 2', 'b = 3\nc = 4'))
  assert after == json.dumps(document(['a = 1\n', 'b = 3\n', 'c = 4']), indent=1).replace('\n', '\r\n')


CELLS = [
  'x = 1', '!pip install flax\nimport os', '%%time\nx = f()', '%%timeit -n 3\nx = f()\n', '%matplotlib inline\n',
  '%time m = Net()', '%timeit -n 10 f(x)\n', 'if a:\n  %time f(x)\n  files = !ls *.py | head\nx?\n?print\nx.y??',
  's = """\n%time\n"""\n!ls \\\n  -l\nx = (3\n % 4)\n', 'await x\n!y', 'text = "%time"\n', '\n\n%%capture out\nx = 1',
  'path = %pwd\n%cd {path}', 'for i in range(3):\n\t!echo {i}\n',
]


@pytest.mark.parametrize('cell', CELLS)
def test_magics_stand_aside_and_come_back(cell):
  text = without_magics(cell)
  ast.parse(text)
  assert with_magics(text) == cell


@pytest.mark.parametrize('cell', ['%%bash\nls', '%%writefile net.py\nimport flax', 'def f(:', '%%html\n<b>'])
def test_cells_that_are_no_python_are_kept_whole(cell):
  assert without_magics(cell) is None
  raw = json.dumps(document(['x = 1'], cell, ['y = 2']))
  notebook = Notebook(raw)
  ast.parse(notebook.text)
  assert notebook.with_text(notebook.text) == raw
  assert json.loads(notebook.with_text(notebook.text.replace('y = 2', 'y = 3')))['cells'][2]['source'] == cell


def test_the_python_of_timed_lines_is_seen():
  assert 'Net(3)' in ast.unparse(ast.parse(without_magics('%time net = Net(3)')).body[1])
  assert 'f(x)' in ast.unparse(ast.parse(without_magics('  \n%timeit -n 10 -r 3 f(x)')).body[1])


def test_a_cell_magic_stays_the_first_line():
  notebook = Notebook(json.dumps(document('%%time\nx = 1')))
  after = notebook.with_text(f'import os\n{notebook.text}')
  assert json.loads(after)['cells'][1]['source'] == '%%time\nimport os\nx = 1'


def test_lines_are_told_by_cell_and_on_disk():
  raw = json.dumps(document(['a = 1\n', 'b = 2'], ['c = 3\n', 'd = 4']), indent=1)
  notebook = Notebook(raw)
  line = notebook.text.splitlines().index('d = 4') + 1
  assert notebook.where(line) == (2, 2)
  assert '"d = 4"' in raw.splitlines()[notebook.line_on_disk(line) - 1]


@pytest.mark.parametrize('raw', ['', '{}', '[]', '{"cells": 3}', '{"cells": [{"source": "x"}]}', 'import flax'])
def test_what_is_no_notebook_is_an_error(raw):
  with pytest.raises(NotebookError):
    Notebook(raw)


def test_other_languages_and_old_formats_are_left_alone():
  other = json.dumps(document('library(flax)', metadata={'kernelspec': {'language': 'R'}}))
  assert Notebook(other).text == ''


def test_moved_borders_are_an_error():
  notebook = Notebook(json.dumps(document('a = 1', 'b = 2')))
  with pytest.raises(NotebookError, match='borders'):
    notebook.with_text('a = 1\n')
