"""Reads a Linen checkpoint into nested dicts and lists of numpy arrays; the source is never written."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from migrator.weights.errors import WeightsError

LAYOUTS = ('auto', 'orbax', 'msgpack')
_DAMAGED = 'the checkpoint is damaged or incomplete; take another copy or another step'


def read(source: Path, layout: str = 'auto') -> tuple[Any, str]:
  """Returns (tree, layout) of an Orbax item, a CheckpointManager step or a flax msgpack file.

  Raises:
    WeightsError: absent, of another kind, or damaged.
  """
  if layout not in LAYOUTS:
    raise WeightsError(f'layout {layout!r} is none of {", ".join(LAYOUTS)}')
  if not source.exists():
    raise WeightsError(f'{source}: there is no such checkpoint; give the folder or file that was saved')
  found = 'orbax' if source.is_dir() else 'msgpack'
  if layout not in ('auto', found):
    raise WeightsError(f'{source}: layout {layout} was asked for, but this is '
                       f'{"a folder" if found == "orbax" else "a file"}; use layout {found}')
  return (read_orbax(item_of(source)), found) if found == 'orbax' else (read_msgpack(source), found)


def item_of(folder: Path) -> Path:
  """Returns the Orbax item in a folder: itself, or the only item of a CheckpointManager step."""
  if folder.name.endswith('.orbax-checkpoint-tmp'):
    raise WeightsError(f'{folder}: this is what an interrupted save left behind; take a complete step')
  if (folder / '_METADATA').is_file():
    return folder
  items = sorted(child for child in folder.iterdir() if (child / '_METADATA').is_file())
  if len(items) == 1 and not items[0].name.isdigit():
    return items[0]
  if items:
    raise WeightsError(f'{folder}: several items are here; give one of '
                       f'{", ".join(str(item) for item in items)}')
  steps = sorted((child for child in folder.iterdir() if child.is_dir() and child.name.isdigit()),
                 key=lambda child: int(child.name))
  if steps:
    raise WeightsError(f'{folder}: this is a folder of steps; give one of them, such as {steps[-1]}')
  raise WeightsError(f'{folder}: no Orbax checkpoint: it has no _METADATA file; {_DAMAGED}')


def read_orbax(item: Path) -> Any:
  """Returns the tree of an Orbax item as numpy arrays; the topology it was saved on does not matter."""
  import jax
  import numpy as np
  import orbax.checkpoint as ocp
  try:
    # The context manager ends the threads of the checkpointer.
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      metadata = checkpointer.metadata(item.resolve()).item_metadata
      if metadata is None:
        raise WeightsError(f'{item}: its _METADATA cannot be read; {_DAMAGED}')
      arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata.tree)
      return checkpointer.restore(item.resolve(), args=ocp.args.PyTreeRestore(restore_args=arguments))
  except WeightsError:
    raise
  except Exception as error:  # Orbax and TensorStore raise many types; each means that it cannot be read
    raise WeightsError(f'{item}: cannot be read ({_first_line(error)}); {_DAMAGED}') from error


def read_msgpack(source: Path) -> Any:
  """Returns the tree of a flax.serialization file."""
  from flax import serialization
  try:
    content = source.read_bytes()
  except OSError as error:
    raise WeightsError(f'{source}: cannot be read ({error})') from error
  try:
    return serialization.msgpack_restore(content)
  except Exception as error:  # msgpack, numpy and ml_dtypes raise many types for damaged input
    raise WeightsError(f'{source}: no flax msgpack file ({_first_line(error)}); {_DAMAGED}') from error


def _first_line(error: BaseException) -> str:
  text = str(error).strip()
  return f'{type(error).__name__}: {text.splitlines()[0][:300]}' if text else type(error).__name__
