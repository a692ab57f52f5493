"""Notebooks are migrated cell by cell and run on; all but the changed cells stays as it was."""
from __future__ import annotations

import json

import pytest

from tests.commands.tools import contents, linen2nnx, ran, repository

CELLS = [
  '!pip install -q flax\n%matplotlib inline',
  '%%capture\nimport jax\nimport jax.numpy as jnp\nfrom flax import linen as nn\nfrom zoo.init import waves\n'
  'from zoo.model import Model',
  '''class Head(nn.Module):
  """A head."""
  width: int

  @nn.compact
  def __call__(self, x):
    # The wide layer.
    x = nn.Dense(self.width, kernel_init=waves)(x)
    return nn.relu(x)''',
  'x = jnp.cos(jnp.arange(10.0)).reshape(2, 5)\n%time head = Head(4)\nhead?\n',
  '%%bash\necho "from flax import linen as nn"',
  '''files = !ls
variables = head.init(jax.random.key(0), x)
print(f'{float(head.apply(variables, x).sum()):.5f}')''',
  '''%timeit -n 1 Model(depth=1)
model = Model(depth=1)
print(f'{float(model.apply(model.init(jax.random.key(0), x), x).sum()):.5f}');''',
]
# Runs the cells as IPython does, without what is no Python.
RUN = '''
import json, re, sys
for cell in json.load(open(sys.argv[1]))['cells']:
  source = ''.join(cell['source'])
  if cell['cell_type'] == 'code' and not source.startswith('%%bash'):
    source = re.sub(r'^%(?:time|timeit -n 1) ', '', source, flags=re.M)
    source = re.sub(r'= !ls', '= []', re.sub(r'^(?:%|!|.*\\?$).*$', '', source, flags=re.M))
    exec(source, globals())
'''


def notebook(*sources):
  cells = [{'cell_type': 'markdown', 'metadata': {}, 'source': ['# `class Head(nn.Module)` é\n', 'import flax']}]
  cells += [{'cell_type': 'code', 'execution_count': number, 'metadata': {'scrolled': True, 'b': 1, 'a': 2},
             'outputs': [{'name': 'stdout', 'output_type': 'stream', 'text': ['from flax import linen as nn\n', 'é']}],
             'source': source.splitlines(keepends=True)} for number, source in enumerate(sources, 1)]
  kernel = {'display_name': 'Python 3', 'language': 'python', 'name': 'python3'}
  return json.dumps({'cells': cells, 'metadata': {'kernelspec': kernel}, 'nbformat': 4, 'nbformat_minor': 4},
                    indent=1, ensure_ascii=False) + '\n'


@pytest.fixture
def folder(tmp_path):
  folder = repository(tmp_path / 'r')
  (folder / 'notebooks').mkdir()
  (folder / 'notebooks/demo.ipynb').write_text(notebook(*CELLS))
  return folder


def printed(folder):
  return ran(folder, '-c', f'import sys; sys.path.insert(0, "notebooks"){RUN}', 'notebooks/demo.ipynb')


def sources(folder):
  cells = json.loads((folder / 'notebooks/demo.ipynb').read_text())['cells']
  return [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code']


def test_a_notebook_runs_on_with_equal_numbers(folder):
  before = printed(folder)
  code, out = linen2nnx('migrate', folder, '--write', '--report', folder.parent / 'report.json')
  assert code == 1, out
  assert printed(folder) == before and before.count('\n') == 2
  cells = sources(folder)
  assert cells[0] == CELLS[0] and cells[4] == CELLS[4]
  assert cells[1].startswith('%%capture\nimport jax\n') and 'from flax import nnx\n' in cells[1]
  assert 'as nn' not in cells[1] and 'from nnx_helpers import as_linen\n' in cells[1]
  assert cells[2].startswith('class Head(nnx.Module):\n  """A head."""\n') and '# The wide layer.' in cells[2]
  assert "%time head = as_linen(Head, in_features=('x', -1))(4)\nhead?\n" in cells[3]
  assert cells[6].count('as_linen(') == 2 and cells[6].endswith(".sum()):.5f}');")
  assert 'files = !ls\n' in cells[5]
  # Nothing else is different: the same notebook with the new cells, written in the same way.
  assert (folder / 'notebooks/demo.ipynb').read_text() == notebook(*cells)
  text = contents(folder)
  assert linen2nnx('migrate', folder, '--write')[1].endswith('There was nothing to write.\n')
  assert contents(folder) == text


def test_places_are_told_by_cell_and_by_the_line_of_the_file(folder):
  linen2nnx('migrate', folder, '--report', folder.parent / 'report.json')
  report = json.loads((folder.parent / 'report.json').read_text())
  lines = (folder / 'notebooks/demo.ipynb').read_text().splitlines()
  told = [row for row in report['findings'] if row['file'] == 'notebooks/demo.ipynb']
  assert [row['message'].partition(':')[0] for row in told] == ['cell 4 line 2', 'cell 7 line 1', 'cell 7 line 2']
  assert all('Head(' in lines[row['line'] - 1] or 'Model(' in lines[row['line'] - 1] for row in told)
  [head] = [row for row in report['classes'] if row['name'].endswith(':Head')]
  assert 'class Head' in lines[head['line'] - 1]


def test_a_notebook_outside_of_the_given_paths_is_a_caller(folder):
  code, _ = linen2nnx('migrate', folder / 'zoo', '--write')
  cells = sources(folder)
  assert cells[:6] == [CELLS[0], CELLS[1] + '\nfrom zoo.nnx_helpers import as_linen', *CELLS[2:6]]
  assert 'as_linen(Model' in cells[6]


def test_comments_keep_a_cell_or_the_notebook(folder):
  path = folder / 'notebooks/demo.ipynb'
  path.write_text(notebook(*CELLS[:2], f'# linen2nnx: skip\n{CELLS[2]}', *CELLS[3:]))
  linen2nnx('migrate', folder, '--write')
  cells = sources(folder)
  assert cells[2] == f'# linen2nnx: skip\n{CELLS[2]}' and cells[3] == CELLS[3] and 'as_linen(Model' in cells[6]
  path.write_text(notebook('# linen2nnx: skip\n' + CELLS[0], *CELLS[1:]))
  before = path.read_text()
  linen2nnx('migrate', folder, '--write')
  assert path.read_text() == before


def test_what_is_no_notebook_stops_the_write(folder):
  (folder / 'notebooks/broken.ipynb').write_text('{"cells": [flax')
  before = contents(folder)
  code, out = linen2nnx('migrate', folder, '--write')
  assert code == 2 and 'notebooks/broken.ipynb is no notebook' in out and contents(folder) == before
