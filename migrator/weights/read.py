"""Opens a Linen checkpoint as nested dicts and lists of arrays; the source is never written."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from migrator.checkpoints.errors import DAMAGED
from migrator.checkpoints.layouts import open_checkpoint
from migrator.weights.errors import WeightsError

LAYOUTS = ('auto', 'orbax', 'msgpack')


def read(source: Path, layout: str = 'auto') -> tuple[Any, str]:
  """Returns (tree, layout) of an Orbax item, a CheckpointManager step or a flax msgpack file.

  The arrays of a folder are not read: their places are expressions (`migrator.checkpoints`).

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
  return (open_checkpoint(source, found).tree if found == 'orbax' else read_msgpack(source)), found


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
    raise WeightsError(f'{source}: no flax msgpack file ({_first_line(error)}); {DAMAGED}') from error


def _first_line(error: BaseException) -> str:
  text = str(error).strip()
  return f'{type(error).__name__}: {text.splitlines()[0][:300]}' if text else type(error).__name__
