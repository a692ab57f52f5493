"""Layouts: one file each, found out from what lies there."""
from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from migrator.checkpoints import names
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.layouts import steps

# Modules with NAME, recognises(path) and read(path), asked in this order.
READERS = ('orbax_old', 'orbax', 'flax_msgpack', 'safetensors', 'npz')
LAYOUTS = ('auto', 'orbax', 'msgpack', 'safetensors', 'npz')


def open_checkpoint(path: Path | str, layout: str = 'auto', step: str | None = None,
                    item: str | None = None) -> Checkpoint:
  """Opens a checkpoint of any layout; arrays are located and checked to lie inside it, not read.

  Args:
    path: an Orbax item, a folder of steps or of items, or a file; a text with '://' is an URL.
    layout: one of LAYOUTS, to be sure of it.
    step: number of the step in a folder of steps, or 'latest'.
    item: name of the item where a step holds several.

  Raises:
    CheckpointError: absent, of no known layout, damaged or hostile.
  """
  if layout not in LAYOUTS:
    raise CheckpointError(f'layout {layout!r} is none of {", ".join(LAYOUTS)}')
  if isinstance(path, str) and '://' in path:
    found = reader('orbax').read(path)
  else:
    place = steps.locate(Path(path), step, item)
    module = _reader_of(place)
    if layout not in ('auto', module.NAME):
      raise CheckpointError(f'{place}: layout {layout} was asked for, but this is {module.NAME}; use layout {module.NAME}')
    found = module.read(place)
  names.refuse(leaf for leaf, _ in _leaves(found.tree, ()))
  return found


def reader(name: str) -> ModuleType:
  """Returns the module of a layout."""
  return importlib.import_module(f'{__name__}.{name}')


def _reader_of(place: Path) -> ModuleType:
  for name in READERS:
    module = reader(name)
    if module.recognises(place):
      return module
  what = 'folder without _METADATA' if place.is_dir() else 'file'
  raise CheckpointError(f'{place}: this {what} is no checkpoint of a known layout (Orbax, flax msgpack, safetensors, '
                        f'npz); {DAMAGED}')


def _leaves(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
  if isinstance(tree, dict) and tree:
    for name, child in tree.items():
      yield from _leaves(child, (*path, str(name)))
  elif isinstance(tree, list | tuple) and tree:
    for position, child in enumerate(tree):
      yield from _leaves(child, (*path, str(position)))
  elif path:
    yield path, tree
