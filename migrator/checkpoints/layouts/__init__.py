"""One file per layout.  READERS: modules with NAME, `recognises(path)` and `read(path)`, the surest first."""
from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.errors import CheckpointError

READERS = ('orbax',)


def reader(name: str) -> ModuleType:
  """Returns the module of a layout."""
  return importlib.import_module(f'{__name__}.{name}')


def open_checkpoint(path: Path, layout: str = 'auto') -> Checkpoint:
  """Opens a checkpoint without reading an array.

  Args:
    layout: the name of a reader; 'auto' finds it out.

  Raises:
    CheckpointError: absent, of no known layout, or damaged.
  """
  if layout != 'auto' and layout not in READERS:
    raise CheckpointError(f'layout {layout!r} is none of {", ".join(("auto", *READERS))}')
  if not path.exists():
    raise CheckpointError(f'{path}: there is no such checkpoint; give the folder or file that was saved')
  names = READERS if layout == 'auto' else (layout,)
  for name in names:
    module = reader(name)
    if layout != 'auto' or module.recognises(path):
      found: Checkpoint = module.read(path)
      return found
  raise CheckpointError(f'{path}: no known layout ({", ".join(READERS)}); give the folder or file that was saved')
