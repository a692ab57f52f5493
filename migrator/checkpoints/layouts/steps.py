"""Folders of steps and of items: CheckpointManager, flax.training.checkpoints, the v1 interface of Orbax."""
from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from migrator.checkpoints.errors import DAMAGED, CheckpointError

LATEST = 'latest'
# What an interrupted save leaves behind.
UNFINISHED = ('.orbax-checkpoint-tmp', '.linen2nnx-tmp', 'orbax-checkpoint-tmp-')
# CheckpointManager writes 7, or 0007 or step_7; flax.training writes checkpoint_7, and step counts may be fractions.
_STEP = re.compile(r'(?:.*[_-])?([0-9]+(?:\.[0-9]+)?)')


def locate(path: Path, step: str | None = None, item: str | None = None) -> Path:
  """Returns the item folder or the file that is meant.

  Raises:
    CheckpointError: nothing is there, a save was interrupted, or a choice is missing or wrong; the
      message lists what there is to choose from.
  """
  if not path.exists():
    raise CheckpointError(f'{path}: there is no such checkpoint; give the folder or file that was saved')
  if step is not None:
    path = _step(path, step)
  if any(mark in path.name for mark in UNFINISHED):
    raise CheckpointError(f'{path}: this is what an interrupted save left behind; take a complete step')
  if path.is_file() or _is_item(path):
    if item is not None:
      raise CheckpointError(f'{path}: is no folder of items; leave --item {item} out')
    return path
  return _item(path, item)


def _step(path: Path, step: str) -> Path:
  found = steps_in(path)
  if not found:
    raise CheckpointError(f'{path}: is no folder of steps; leave --step {step} out')
  if step == LATEST:
    return found[-1]
  chosen = [place for place in found if place.name == step or _number(place) == _as_number(step)]
  if len(chosen) != 1:
    listed = ', '.join(place.name for place in found[-10:])
    raise CheckpointError(f'{path}: step {step} is there {len(chosen)} times; give one of {listed}')
  return chosen[0]


def steps_in(folder: Path) -> list[Path]:
  """Returns the finished steps of a folder in order; the folder itself may be an item, and has none then."""
  if not folder.is_dir() or _is_item(folder):
    return []
  children = [child for child in folder.iterdir() if _STEP.fullmatch(child.name)
              and not any(mark in child.name for mark in UNFINISHED) and (child.is_file() or _is_finished(child))]
  return sorted(children, key=_number)


def _is_finished(folder: Path) -> bool:
  return _is_item(folder) or any(_is_item(child) for child in folder.iterdir() if child.is_dir())


def _is_item(folder: Path) -> bool:
  return (folder / '_METADATA').is_file() or (folder / 'manifest.ocdbt').is_file() or (folder / 'checkpoint').is_file()


def _number(place: Path) -> float:
  match = _STEP.fullmatch(place.name)
  return float(match[1]) if match else -1.0


def _as_number(step: str) -> float | None:
  try:
    return float(step)
  except ValueError:
    return None


def _item(folder: Path, item: str | None) -> Path:
  found = _sorted(folder, lambda child: child.is_dir() and _is_item(child))
  if item is not None:
    chosen = [place for place in found if place.name == item]
    if not chosen:
      listed = ', '.join(place.name for place in found) or 'none'
      raise CheckpointError(f'{folder}: there is no item {item!r} (items: {listed})')
    return chosen[0]
  steps = steps_in(folder)
  named = [place for place in found if place not in steps]
  if len(named) == 1 and not steps:
    return named[0]
  if steps and not named:
    raise CheckpointError(f'{folder}: this is a folder of steps; give one of them, such as {steps[-1]}, '
                          f'or --step {steps[-1].name} or --step {LATEST}')
  if named:
    listed = ', '.join(str(place) for place in named)
    raise CheckpointError(f'{folder}: several items are here; choose with --item, or give one of {listed}')
  raise CheckpointError(f'{folder}: no Orbax checkpoint: it has no _METADATA file; {DAMAGED}')


def _sorted(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
  return sorted((child for child in folder.iterdir() if wanted(child)), key=lambda child: child.name)
