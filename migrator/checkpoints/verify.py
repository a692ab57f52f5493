"""Proves a target against what was planned: its index is read back, and every entry compared.

The same bytes of the same files under the same metadata are the same values.
"""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.checkpoints import names, packed, zarr
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression
from migrator.checkpoints.storage import Chunk, Range, Stored
from migrator.checkpoints.transfer import Brought

if TYPE_CHECKING:
  from migrator.checkpoints.encode import Encoded

Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Proof:
  """What a target must be: kept by index, computed, the expressions, and the data files' origins."""

  kept: Mapping[Names, Stored]
  computed: Mapping[Names, Encoded]
  values: Mapping[Names, Expression]
  brought: Mapping[str, Brought]


def prove(place: Path, proof: Proof) -> None:
  """Reads the index of a target back and compares every entry with the plan.

  Raises:
    CheckpointError: any difference; all leaves are listed.
  """
  from migrator.checkpoints.index import read as index
  from migrator.checkpoints.layouts import orbax_tree
  wanted = {**proof.kept, **{path: made.stored for path, made in proof.computed.items()}}
  named = orbax_tree.array_paths(place)
  problems = [f'{names.shown(path)}: is not in the target' for path in wanted.keys() - named]
  problems += [f'{names.shown(path)}: was not planned' for path in named - wanted.keys()]
  entries, files, metadata = index.entries(place), _Files(place), _Metadata()
  for path, array in wanted.items():
    name = '.'.join(path)
    if not metadata.is_same(entries.pop(f'{name}/{zarr.FILES[array.version]}', b''), array.metadata):
      problems.append(f'{names.shown(path)}: other metadata')
    prefix, between = zarr.separator(array.version, array.metadata)
    for grid, origin in array.chunks.items():
      chunk = entries.pop(f'{name}/{zarr.joined(prefix, between, grid)}', None)
      if chunk is None or path in proof.kept and not _is_same(chunk, origin, proof, files):
        problems.append(f'{names.shown(path)}: chunk {grid} is not that of the source')
  problems += [f'{names.shown([key[:200]])}: was not planned' for key in entries]
  if problems:
    raise CheckpointError('the target is not what was planned; nothing was written:', sorted(problems))


class _Metadata:
  """Compares the metadata of arrays; layers share theirs, which is parsed once."""

  def __init__(self) -> None:
    self._known: dict[tuple[bytes, int], bool] = {}

  def is_same(self, found: Chunk, wanted: Mapping[str, Any]) -> bool:
    """Whether what the index holds is this metadata."""
    if not isinstance(found, bytes):
      found = packed.content(found)
    key = (found, id(wanted))
    if key not in self._known:
      self._known[key] = bool(found) and json.loads(found) == json.loads(json.dumps(wanted))
    return self._known[key]


class _Files:
  """Real paths of the target's files, and what file each is; looked up once."""

  def __init__(self, place: Path):
    self._place = os.path.realpath(place)
    self._identities: dict[str, tuple[int, int]] = {}

  def path(self, name: str) -> str:
    """Returns the path of a file of the target, which holds no symlinks."""
    return os.path.join(self._place, name)

  def identity(self, file: str) -> tuple[int, int]:
    """Returns (device, inode)."""
    if file not in self._identities:
      found = os.stat(file)
      self._identities[file] = (found.st_dev, found.st_ino)
    return self._identities[file]


def _is_same(chunk: Chunk, origin: Chunk, proof: Proof, files: _Files) -> bool:
  if isinstance(chunk, bytes) or isinstance(origin, bytes):
    return chunk == origin
  brought = proof.brought[origin.file]
  name, offset, length = brought.place(origin)
  is_one_file = brought.how != 'link' or files.identity(chunk.file) == files.identity(origin.file)
  return chunk == Range(files.path(name), offset, length) and is_one_file
