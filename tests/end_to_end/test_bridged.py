"""Classes that stay Linen keep running in the migrated tree, with the same variables and numbers."""
from __future__ import annotations

import numpy as np
import pytest

from tests.end_to_end.programs import all_programs, apply

TIMEOUT = 120.0


# Parts of these are NNX now and keep their variables under NNX names behind a Linen face: a known defect.
RENAMED = frozenset({
    'nested_wrappers-Transformer', 'scan_layers-Scanned', 'unet-UNet', 'unet-UNet 2', 'vmapped_experts-DoubleCritic'})


def _marks(name):
  return [pytest.mark.xfail(reason='variables behind a Linen face have NNX names', strict=True)] if name in RENAMED else []


def _cases():
  return [pytest.param(program, table, id=(name := f'{program.name}-{table["name"]}'), marks=_marks(name)) for program in all_programs()
          for table in program.cases if program.expect.get(table['model']) == 'bridged'
          # Its arguments are modules, which the case writes in another way after the migration.
          and 'nnx_arguments' not in table]


def outputs(root, table):
  """The Linen variables and outputs of a case under one root."""
  from migrator.equivalence import Case
  from migrator.equivalence.process import WorkerProcess
  from migrator.equivalence.protocol import Message

  with WorkerProcess('linen', root) as worker:
    prepared = worker.ask(Message({'do': 'prepare', 'case': Case(**table).to_json()}), TIMEOUT)
    forward = worker.ask(Message({'do': 'forward', 'mode': 'eval', 'keys': 'recorded'}), TIMEOUT)
  return {**prepared.arrays, **forward.arrays}


@pytest.mark.parametrize('program, table', _cases())
def test_bridged_class_runs_as_before(migration, tmp_path, program, table):
  root, result = migration(program)
  before, after = outputs(root, table), outputs(apply(result, root, tmp_path / 'after'), table)
  assert set(before) == set(after)
  for path, array in before.items():
    np.testing.assert_array_equal(after[path], array, err_msg=str(path))
