"""The same conversion in 2 and 4 processes of one machine, found by JAX as a SLURM job."""
from __future__ import annotations

import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest
from trees import assert_equal, restored, save

from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import transpose
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.write import write_orbax

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Every process: saves a sharded tree, converts it together, restores it with other shardings, compares its shards.
PROGRAM = """
import os, pathlib, sys
import numpy as np
from migrator.checkpoints.processes import JaxProcesses
processes = JaxProcesses()
import jax, jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from migrator.checkpoints import encode_together
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import stack, transpose
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.write import write_orbax

folder = pathlib.Path(sys.argv[1])
mesh = Mesh(np.array(jax.devices()).reshape(processes.count, -1), ('data', 'model'))
kernels = [np.random.default_rng(number).normal(size=(64, 2, 48)).astype(np.float32) for number in range(5)]

def placed(value, *axes):
  return jax.make_array_from_callback(value.shape, NamedSharding(mesh, P(*axes)), lambda index: value[index])

with ocp.StandardCheckpointer() as checkpointer:
  checkpointer.save(folder / 'in', {f'layers_{k}': {'kernel': placed(value, 'data', None, 'model')} for k, value in enumerate(kernels)})
leaves = [open_checkpoint(folder / 'in').leaves()[f'layers_{k}', 'kernel'] for k in range(5)]
content = {('stack',): stack(leaves, 1), **{('turned', str(k)): transpose(leaf, (1, 0, 2)) for k, leaf in enumerate(leaves)}}
content[('named',)] = leaves[0]
written = write_orbax(content, folder / 'out', reencode=True, processes=processes)
indexed = write_orbax({('stack',): stack(leaves, 1)}, folder / 'indexed', processes=processes)

def checked(path, name, wanted, *axes):
  sharding = NamedSharding(mesh, P(*axes))
  with ocp.PyTreeCheckpointer() as checkpointer:
    arguments = {name: ocp.ArrayRestoreArgs(sharding=sharding)}
    found = checkpointer.restore(path, args=ocp.args.PyTreeRestore(
      {name: jax.ShapeDtypeStruct(wanted.shape, wanted.dtype)}, restore_args=arguments, partial_restore=True))[name]
  assert found.sharding == sharding
  for shard in found.addressable_shards:
    assert np.asarray(shard.data).tobytes() == np.ascontiguousarray(wanted[shard.index]).tobytes()

checked(folder / 'out', 'stack', np.stack(kernels, 1), 'model', None, None, 'data')
checked(folder / 'indexed', 'stack', np.stack(kernels, 1), None, None, None, ('data', 'model'))
checked(folder / 'out', 'named', kernels[0], None, None, 'data')

# One process fails: all do, and nothing is written.
def fails(*_, **__):
  raise CheckpointError('this disk is full')
if processes.index == processes.count - 1:
  encode_together.encode = fails
try:
  write_orbax(content, folder / 'failed', reencode=True, processes=processes)
  text = 'written'
except CheckpointError as error:
  text = str(error)
try:
  write_orbax(content, folder / 'out', reencode=True, processes=processes)
  there = 'written'
except CheckpointError as error:
  there = str(error)
print('done', processes.index, [name for name in ('jax',)], written.new > 0, text, there, sep='|')
"""


def started(program, count, *words):
  """Runs a program in some processes that look like a SLURM job; returns what each printed."""
  job = str(random.randrange(1 << 30))
  running = []
  for index in range(count):
    environment = {**os.environ, 'SLURM_JOB_ID': job, 'SLURM_STEP_NODELIST': 'localhost', 'SLURM_NTASKS': str(count),
                   'SLURM_PROCID': str(index), 'SLURM_LOCALID': '0', 'SLURM_STEP_NUM_NODES': '1',
                   'XLA_FLAGS': '--xla_force_host_platform_device_count=2', 'PYTHONPATH': str(ROOT)}
    running.append(subprocess.Popen([sys.executable, *program, *map(str, words)], cwd=ROOT, env=environment, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE))
  ended = [process.communicate(timeout=300) for process in running]
  assert [process.returncode for process in running] == [0] * count, '\n'.join(err[-3000:] for _, err in ended)
  return [out for out, _ in ended]


@pytest.mark.parametrize('count', [2, 4])
def test_sharded_saved_converted_and_restored_together(count, tmp_path):
  for index, text in enumerate(started(['-c', PROGRAM], count, tmp_path)):
    _, number, _, is_first, failed, there = text.splitlines()[-1].split('|')
    assert (int(number), is_first == 'True') == (index, index == 0)
    assert ('this disk is full' if index == count - 1 else 'another process failed') in failed
    assert ('exists already' if index == 0 else 'first process failed') in there
  assert sorted(os.listdir(tmp_path)) == ['in', 'indexed', 'out']
  data = [file.name for file in (tmp_path / 'out' / 'd').iterdir() if file.name.startswith('new_')]
  # One for each thread of each process.
  assert {name.rpartition('_')[0] for name in data} == {f'new_{index}' for index in range(count)}
  found = restored(tmp_path / 'out')
  for number in range(5):
    kernel = np.random.default_rng(number).normal(size=(64, 2, 48)).astype(np.float32)
    assert_equal(found['turned', str(number)], kernel.transpose(1, 0, 2))


def test_the_command_in_two_processes(tmp_path):
  from test_command_memory import manifest
  kernel = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
  save(tmp_path / 'in', {'params': {f'layers_{number}': {'kernel': kernel + number} for number in range(3)}})
  (tmp_path / 'manifest.json').write_text(manifest().to_json())
  printed = started(['-m', 'migrator'], 2, 'convert', tmp_path / 'in', tmp_path / 'out', '--manifest',
                    tmp_path / 'manifest.json', '--rule', 'transpose layers/*/kernel 1,0', '--reencode', '--distributed')
  assert 'index proved' in printed[0] and 'arrays' not in printed[1]
  assert_equal(restored(tmp_path / 'out')['layers', '2', 'kernel', 'value'], (kernel + 2).T)


def test_outside_a_job(tmp_path):
  from test_command_memory import manifest
  (tmp_path / 'manifest.json').write_text(manifest().to_json())
  done = subprocess.run([sys.executable, '-m', 'migrator', 'convert', tmp_path, tmp_path / 'out', '--manifest',
                         tmp_path / 'manifest.json', '--distributed'], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 2 and 'no job of several processes' in done.stderr


# What flax.training wrote of arrays that several processes hold, before it was built on Orbax.
OLD_PROGRAM = """
import sys
import numpy as np
from migrator.checkpoints.processes import JaxProcesses
processes = JaxProcesses()
import flax, jax
from flax.training import checkpoints
from jax.experimental.array_serialization.serialization import GlobalAsyncCheckpointManager
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()).reshape(processes.count, -1), ('data', 'model'))

def placed(number):
  value = np.random.default_rng(number).normal(size=(64, 48)).astype(np.float32)
  return jax.make_array_from_callback(value.shape, NamedSharding(mesh, P('data', 'model')), lambda index: value[index])

tree = {f'layers_{number}': {'kernel': placed(number)} for number in range(3)}
flax.config.update('flax_use_orbax_checkpointing', False)
manager = GlobalAsyncCheckpointManager()
checkpoints.save_checkpoint_multiprocess(sys.argv[1], {'params': tree, 'scale': np.ones(3)}, 7, gda_manager=manager)
manager.wait_until_finished()
"""


def test_arrays_of_several_processes_beside_a_msgpack_file(tmp_path):
  started(['-c', OLD_PROGRAM], 2, tmp_path / 'in')
  leaves = open_checkpoint(tmp_path / 'in', step='latest').leaves()
  write_orbax({path: transpose(leaf) for path, leaf in leaves.items()}, tmp_path / 'out')
  found = restored(tmp_path / 'out')
  for number in range(3):
    kernel = np.random.default_rng(number).normal(size=(64, 48)).astype(np.float32)
    assert len(leaves['params', f'layers_{number}', 'kernel'].stored.chunks) == 4
    assert_equal(found['params', f'layers_{number}', 'kernel'], kernel.T)
  file, beside = tmp_path / 'in' / 'checkpoint_7', tmp_path / 'in' / 'checkpoint_7_gda'
  kernel = beside / 'params' / 'layers_1' / 'kernel'
  content, piece = file.read_bytes(), (kernel / '0.1').read_bytes()
  for damage in (lambda: (kernel / '0.1').unlink(), lambda: (kernel / '0.1').write_bytes(piece[:-9]),
                 lambda: ((kernel / '0.1').unlink(), (kernel / '0.1').symlink_to('/etc/hostname')),
                 lambda: file.write_bytes(content.replace(b'params/layers_1/kernel', b'params/../../../kernel'))):
    (kernel / '0.1').unlink(missing_ok=True)
    (kernel / '0.1').write_bytes(piece)
    damage()
    with pytest.raises(CheckpointError, match='layers_1'):
      open_checkpoint(file)
