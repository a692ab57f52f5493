"""The work done with whole trees in memory: peers.py METHOD SOURCE TARGET.

restore-save     Orbax restores everything and saves it under the same names
transpose        the same, every matrix transposed between the two
converter        as published hand-written converters do: restore all, rename and stack in nested dicts, save all
read             reads every byte of a checkpoint, and does nothing with them
"""
from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_STEP = 1 << 20


def restored(source: Path) -> Any:
  """Returns the whole tree."""
  if source.is_file():
    from flax import serialization
    return serialization.msgpack_restore(source.read_bytes())
  import orbax.checkpoint as ocp
  return ocp.PyTreeCheckpointer().restore(source)


def saved(target: Path, tree: Any) -> None:
  """Saves a whole tree."""
  import orbax.checkpoint as ocp
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(target, tree)


def transposed(tree: Any) -> Any:
  """Turns the axes of every array around."""
  import jax
  import numpy as np
  return jax.tree.map(lambda leaf: np.ascontiguousarray(np.asarray(leaf).T), tree)


def converted(tree: Any) -> Any:
  """Renames and stacks layers, in the weights and in the statistics."""
  statistics = tree['opt_state']['0'] if isinstance(tree['opt_state'], dict) else tree['opt_state'][0]
  moments = {name: _stacked(statistics[name]['params']) for name in ('mu', 'nu')}
  return {'model': _stacked(tree['params']['params']),
          'optimizer': {'step': tree['step'], 'opt_state': {'0': {'count': statistics['count'], **moments}}}}


def _stacked(params: Any) -> Any:
  import jax
  import numpy as np
  layers = [params[f'layers_{number}'] for number in range(sum(name.startswith('layers_') for name in params))]
  rest = {name: value for name, value in params.items() if not name.startswith('layers_')}
  return jax.tree.map(lambda leaf: {'value': leaf}, rest | {
    'layers': jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *layers)})


def read(source: Path) -> None:
  """Reads all files, with as many threads as there are processors."""
  files = [source] if source.is_file() else [file for file in source.rglob('*') if file.is_file()]
  parts = [(file, start) for file in files for start in range(0, file.stat().st_size, 32 * _STEP)]

  def part(place: tuple[Path, int]) -> None:
    buffer = memoryview(bytearray(_STEP))
    descriptor = os.open(place[0], os.O_RDONLY)
    for number in range(32):
      if not os.preadv(descriptor, [buffer], place[1] + number * _STEP):
        break
    os.close(descriptor)

  with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
    list(pool.map(part, parts))


def main(method: str, source: Path, target: Path) -> None:
  """Runs one method."""
  if method == 'read':
    read(source)
  elif method == 'restore-save':
    saved(target, restored(source))
  else:
    saved(target, {'transpose': transposed, 'converter': converted}[method](restored(source)))


if __name__ == '__main__':
  os.environ.setdefault('JAX_PLATFORMS', 'cpu')
  main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
