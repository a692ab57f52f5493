"""Random Linen modules: what the generator draws runs, and its migration is equal in numbers; in both modes by turns."""
from __future__ import annotations

import itertools
import types

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.end_to_end.programs import apply, migrated
from tests.end_to_end.random_modules import RandomProgram, programs

MODES = ('argument', 'module')
QUIET = {'deadline': None, 'derandomize': True, 'suppress_health_check': list(HealthCheck)}


@settings(max_examples=40, **QUIET)
@given(programs())
def test_drawn_programs_are_valid_linen(program: RandomProgram):
  import jax
  import jax.numpy as jnp

  module = types.ModuleType('drawn')
  exec(compile(program.source, 'drawn.py', 'exec', dont_inherit=True), vars(module))
  model = module.Net(**{name: eval(text) for name, text in program.case['arguments'].items()})
  shape = tuple(int(size) for size in program.case['inputs'][0][4:-1].split(','))
  keys = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
  shapes = jax.eval_shape(lambda x: model.init(keys, x, train=True), jnp.zeros(shape))
  assert isinstance(shapes, dict)


@pytest.fixture(scope='module')
def compare(tmp_path_factory):
  """A function of a program: migrates it and compares both sides in two processes kept for all programs."""
  from migrator.equivalence import Case
  from migrator.equivalence.parts import CaseRun
  from migrator.equivalence.process import WorkerProcess

  folder = tmp_path_factory.mktemp('random')
  roots = {side: folder / side for side in ('linen', 'nnx')}
  for root in roots.values():
    root.mkdir()
  numbers = itertools.count()
  workers = {side: WorkerProcess(side, root) for side, root in roots.items()}

  def run(program: RandomProgram):
    # A name of its own: the processes keep what they have imported.
    number = next(numbers)
    name = f'random_{number}'
    alone = folder / name
    alone.mkdir()
    (alone / f'{name}.py').write_text(program.source)
    result = migrated(alone, mode=MODES[number % 2])
    assert {report.outcome for report in result.classes} == {'native'}, result.classes
    (roots['linen'] / f'{name}.py').write_text(program.source)
    after = apply(result, alone, folder / f'{name}_after')
    (roots['nnx'] / f'{name}.py').write_bytes((after / f'{name}.py').read_bytes())
    case = Case(**{**program.case, 'name': name, 'model': f'{name}:Net'})
    return CaseRun(case, result.manifest, workers['linen'], workers['nnx'], 120.0).result()

  yield run
  for worker in workers.values():
    worker.close()


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], **QUIET)
@given(programs())
def test_migration_of_drawn_programs_is_equal_in_numbers(compare, program: RandomProgram):
  result = compare(program)
  assert result.exit_code == 0, f'{program.source}\n{result}'
  passed = {part.name for part in result.parts if part.passed}
  assert {'variables', 'eval', 'train'} <= passed


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate], **QUIET)
@given(programs())
def test_a_second_run_over_a_drawn_program_edits_nothing(tmp_path_factory, program: RandomProgram):
  root = tmp_path_factory.mktemp('again') / 'before'
  root.mkdir()
  (root / 'drawn.py').write_text(program.source)
  for mode in MODES:
    after = apply(migrated(root, mode=mode), root, root.parent / mode)
    assert migrated(after, mode=mode).files == []
