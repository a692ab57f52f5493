"""Proves a target against what was planned.

The index proof reads the target's index back (through TensorStore, which did not write it) and compares every
entry: the same bytes of the same files under the same metadata are the same values.
"""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from migrator.checkpoints import bitrot, codec, names, sums, zarr
from migrator.checkpoints.encode import Encoded
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression, Source
from migrator.checkpoints.operations.evaluate import evaluate
from migrator.checkpoints.storage import Chunk, Range, Stored
from migrator.checkpoints.transfer import Brought

Names = tuple[str, ...]
SUMS = sums.NAME
check = bitrot.check


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
  named = {leaf.path for leaf in orbax_tree.read(place).leaves if leaf.is_array}
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
      found = codec.content(found)
    key = (found, id(wanted))
    if key not in self._known:
      self._known[key] = bool(found) and json.loads(found) == json.loads(json.dumps(wanted))
    return self._known[key]


def _arrays(place: Path) -> dict[Names, Stored]:
  from migrator.checkpoints.layouts import orbax
  return {path: leaf.stored for path, leaf in orbax.read(place).leaves().items() if isinstance(leaf, Source)}


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


def deep(place: Path, proof: Proof) -> bytes:
  """Reads every byte of a target once, and of the source where it was copied, and compares them.

  Returns:
    The content of the list of sums.

  Raises:
    CheckpointError: any byte that differs; the leaves are listed.
  """
  found = _arrays(place)
  made = sums.of_arrays(found)
  linked = {origin for origin, brought in proof.brought.items() if brought.how == 'link'}
  copied = {path: array for path, array in proof.kept.items()
            if any(isinstance(chunk, Range) and chunk.file not in linked for chunk in array.chunks.values())}
  origin = sums.of_arrays(copied)
  problems = [f'{names.shown(path)}: chunk {grid} differs from the source'
              for path, chunks in origin.items() for grid, value in chunks.items() if made[path][grid] != value]
  for path, encoded in proof.computed.items():
    if {grid: value[1] for grid, value in made[path].items()} != encoded.sums:
      problems.append(f'{names.shown(path)}: the disk holds other bytes than were written')
    elif not _decodes_to(found[path], proof.values[path], path):
      problems.append(f'{names.shown(path)}: other values than the source gives')
  if problems:
    raise CheckpointError('the target differs from the source; nothing was written:', sorted(problems))
  return sums.content(made, found, place)


def _decodes_to(array: Stored, value: Expression, path: Names) -> bool:
  """Compares values bit by bit, a chunk of the target at a time."""
  for grid in array.chunks:
    region = tuple((at * part, min((at + 1) * part, size)) for at, part, size in zip(grid, array.chunk_shape, array.shape))
    got = codec.decode(array, grid, names.shown(path))[tuple(slice(0, stop - start) for start, stop in region)]
    if np.ascontiguousarray(got).tobytes() != np.ascontiguousarray(evaluate(value, region)).tobytes():
      return False
  return True
