"""Shares the leaves that must be computed out over processes, and collects where each put its chunks."""
from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from migrator.checkpoints import folder, staging
from migrator.checkpoints.dtypes import dtype_named, zarr2_name
from migrator.checkpoints.encode import Encoded, encode, groups
from migrator.checkpoints.index.write import Place
from migrator.checkpoints.plan import Step
from migrator.checkpoints.processes import Processes
from migrator.checkpoints.storage import Stored

Names = tuple[str, ...]


def encode_together(steps: Sequence[Step], version: int, top: Path, budget: int, processes: Processes,
                    summed: bool = True) -> dict[Names, Encoded]:
  """Computes some leaves, each in one of the processes.

  Args:
    steps: the same in every process.
    top: the folder that is staged, which all processes see.
    summed: as `encode`.

  Returns:
    In the first process, {path: what was written} of all leaves; elsewhere, of its own.

  Raises:
    CheckpointError: of this process, or because another one failed.
  """
  if processes.count == 1:
    return encode(steps, version, top, budget, summed=summed)
  mine = shares(steps, processes.count)[processes.index]
  with processes.together():
    made = encode(mine, version, top, budget, name=f'd/new_{processes.index}', summed=summed)
    if not processes.is_first:
      part = _part(top, processes.index)
      staging.write_file(part, json.dumps([_told(path, found) for path, found in made.items()]).encode())
      staging.sync(part)
      for file in sorted((top / 'd').glob(f'new_{processes.index}_*')):
        staging.sync(file)
  if processes.is_first:
    for index in range(1, processes.count):
      file = _part(top, index)
      made |= dict(map(_found, folder.read_json(file.parent, file.name)))
      file.unlink()
  return made


def shares(steps: Sequence[Step], count: int) -> list[list[Step]]:
  """Returns the leaves of each process: what shares a source stays together, and all get about as many bytes."""
  made: list[list[Step]] = [[] for _ in range(count)]
  sizes = [0] * count
  for group in groups(steps):
    least = sizes.index(min(sizes))
    made[least] += group
    sizes[least] += sum(step.value.nbytes for step in group)
  return made


def _part(top: Path, index: int) -> Path:
  """Beside the staged folder, which holds nothing but the target."""
  return top.parent / f'part_{index}.json'


def _told(path: Names, found: Encoded) -> dict[str, Any]:
  places = [[list(grid), _place(place), found.sums[grid]] for grid, place in found.places.items()]
  return {'path': path, 'version': found.stored.version, 'shape': found.stored.shape,
          'dtype': zarr2_name(found.stored.dtype), 'metadata': found.stored.metadata, 'places': places}


def _place(place: Place) -> Any:
  return base64.b64encode(place).decode() if isinstance(place, bytes) else list(place)


def _found(told: dict[str, Any]) -> tuple[Names, Encoded]:
  places: dict[tuple[int, ...], Place] = {}
  sums = {}
  for grid, place, value in told['places']:
    places[tuple(grid)] = base64.b64decode(place) if isinstance(place, str) else (place[0], place[1], place[2])
    sums[tuple(grid)] = value
  kind = dtype_named(told['dtype'])
  stored = Stored(tuple(told['shape']), kind, told['version'], told['metadata'], dict.fromkeys(places, b''))
  return tuple(told['path']), Encoded(stored, places, sums)
