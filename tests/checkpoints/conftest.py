"""One save of each Orbax layout serves all tests; they only read it."""
from __future__ import annotations

import pytest
import trees


@pytest.fixture(scope='session', params=trees.LAYOUTS)
def saved(request, tmp_path_factory):
  """(folder, what was saved) in each Orbax layout."""
  path = tmp_path_factory.mktemp('saved') / request.param
  return trees.save(path, trees.tree(), **trees.LAYOUTS[request.param]), trees.flat(trees.tree())


@pytest.fixture(scope='session')
def item(tmp_path_factory):
  """An OCDBT item of zarr 2, the default; tests that change it copy it."""
  return trees.save(tmp_path_factory.mktemp('item') / 'item', trees.tree())
