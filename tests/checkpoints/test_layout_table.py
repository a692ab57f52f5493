"""Every layout by every operation: the table in docs/checkpoints.md, cell by cell."""
from __future__ import annotations

import pathlib
import sys

import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from savers import LAYOUTS

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'weights'))

from pairs import MLP
from test_optimizer import nnx_step, trained, weights_after
from test_pairs import assert_same, build, numpy

from migrator.checkpoints import bitrot
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression
from migrator.checkpoints.layouts import msgpack_write, open_checkpoint, steps
from migrator.checkpoints.storage import Range
from migrator.weights import WeightsError
from migrator.weights.convert import convert, convert_back

SAVED, AFTER = 3, 20
# One object: what is compiled for it serves every test.
TRANSFORM = optax.adamw(1e-2)
TABLE = pathlib.Path(__file__).parents[2] / 'docs' / 'checkpoints.md'


@pytest.fixture(scope='module')
def run():
  """The train states of a Linen run."""
  return trained(MLP, TRANSFORM, SAVED + AFTER)


@pytest.fixture
def saved(request, run, tmp_path):
  """How to open a checkpoint of the run in one layout."""
  state = run[SAVED]
  given = LAYOUTS[request.param](tmp_path / 'in', {'params': state.params, 'opt_state': state.opt_state, 'step': state.step})
  return {**given, 'target': tmp_path / 'out'}


every_layout = pytest.mark.parametrize('saved', LAYOUTS, indirect=True)


def converted(saved, **more):
  report = convert(**saved, manifest=MLP.manifest, **more)
  assert report.kind == 'train state'
  return report


def restored(path):
  """The model and optimizer that a user restores from the target."""
  model = nnx.eval_shape(lambda: MLP.nnx(nnx.Rngs(0)))
  graphdef, _, weights = nnx.split(model, nnx.RngState, ...)
  optimizer = nnx.eval_shape(lambda: nnx.Optimizer(MLP.nnx(nnx.Rngs(0)), TRANSFORM, wrt=nnx.Param))
  with ocp.StandardCheckpointer() as checkpointer:
    back = checkpointer.restore(path, {'model': weights, 'optimizer': nnx.state(optimizer)})
  model, optimizer = build(MLP), nnx.Optimizer(build(MLP), TRANSFORM, wrt=nnx.Param)
  nnx.update(model, back['model'])
  nnx.update(optimizer, back['optimizer'])
  return model, optimizer


@every_layout
def test_convert(saved, run):
  report = converted(saved)
  model, optimizer = restored(saved['target'])
  assert_same(numpy(nnx.to_pure_dict(nnx.state(model, nnx.Param))), weights_after(MLP, {'params': run[SAVED].params}))
  assert int(optimizer.step[...]) == SAVED and report.arrays == 20


@every_layout
def test_resume(saved, run):
  converted(saved)
  model, optimizer = restored(saved['target'])
  for _ in range(AFTER):
    nnx_step(model, optimizer, MLP.input())
  assert int(optimizer.step[...]) == SAVED + AFTER
  want = weights_after(MLP, {'params': run[SAVED + AFTER].params})
  assert_same(numpy(nnx.to_pure_dict(nnx.state(model, nnx.Param))), want)


@every_layout
def test_back(saved, monkeypatch):
  converted(saved)
  template = steps.locate(saved['source'], saved.get('step'), saved.get('item'))
  found = open_checkpoint(template)
  form = found.layout if found.layout in ('msgpack', 'safetensors') else 'orbax'
  monkeypatch.setattr(msgpack_write, 'LARGEST', 32 if b'__msgpack_chunked' in content_of(template) else 2**30)
  back = saved['target'].with_name('back')
  convert_back(saved['target'], back, MLP.manifest, template=template, form=form)
  if form == 'msgpack':
    assert back.read_bytes() == template.read_bytes()
  assert shown(open_checkpoint(back).tree) == shown(found.tree)


def content_of(path):
  return path.read_bytes() if path.is_file() else b''


def shown(node):
  """A tree as comparable data: containers, empty entries, and of each array all that is kept of it."""
  if isinstance(node, dict):
    return {name: shown(child) for name, child in node.items()}
  if isinstance(node, list | tuple):
    return [type(node).__name__, *map(shown, node)]
  if isinstance(node, Expression):
    stored = getattr(node, 'stored', None)
    is_number = stored is not None and stored.kind == 'scalar'
    return str(node.dtype), node.shape, np.ascontiguousarray(np.asarray(node)).tobytes(), is_number
  return node


@every_layout
def test_verify(saved):
  assert converted(saved, deep=True, copy=True).written.checked == 'deep'
  assert bitrot.check(saved['target']) > 0
  chunks = [chunk for leaf in open_checkpoint(saved['target']).leaves().values() for chunk in leaf.stored.chunks.values()]
  ranges = [chunk for chunk in chunks if isinstance(chunk, Range)]
  # Small arrays lie in the index itself.
  inside = max((saved['target'] / 'd').iterdir(), key=lambda file: file.stat().st_size)
  file, offset = (ranges[0].file, ranges[0].offset) if ranges else (inside, inside.stat().st_size // 2)
  content = bytearray(pathlib.Path(file).read_bytes())
  content[offset] ^= 4
  pathlib.Path(file).write_bytes(content)
  with pytest.raises(CheckpointError):
    bitrot.check(saved['target'])


def data_file(saved):
  """The file of the source that holds the most of the arrays; small ones lie in the merged index of OCDBT."""
  place = steps.locate(saved['source'], saved.get('step'), saved.get('item'))
  if place.is_file():
    return place
  top = place / 'd' if (place / 'd').is_dir() else place
  files = [file for file in top.rglob('*') if file.is_file() and not file.name.startswith('_')
           and file.name not in ('.zarray', 'zarr.json', 'commit_success.txt', 'process_0')]
  return max(files, key=lambda file: (file.stat().st_size, str(file)))


@every_layout
def test_damaged(saved, tmp_path):
  file = data_file(saved)
  content = file.read_bytes()
  for damaged in (content[:len(content) // 2], b''):
    file.write_bytes(damaged)
    with pytest.raises(WeightsError):
      converted(saved)
  file.unlink()
  with pytest.raises(WeightsError):
    converted(saved)
  assert not (tmp_path / 'out').exists() and not list(tmp_path.glob('.out*'))


def test_the_table_is_that_of_the_tests():
  rows = [line.split('|') for line in TABLE.read_text(encoding='utf-8').splitlines() if line.startswith('| ')]
  tests = [name.removeprefix('test_') for name in globals() if name.startswith('test_') and 'table' not in name]
  head = next(row for row in rows if row[1].strip() == 'layout')
  assert [cell.strip() for cell in head[2:-1]] == ['convert', 'back', 'resume', 'verify', 'damaged']
  assert set(tests) == {'convert', 'back', 'resume', 'verify', 'damaged'}
  assert [row[1].strip() for row in rows if row[1].strip() in LAYOUTS] == list(LAYOUTS)
