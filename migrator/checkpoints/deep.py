"""The deep check of a new target: its index through TensorStore, which did not write it, and every byte."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from migrator.checkpoints import codec, names, sums
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression, Source
from migrator.checkpoints.index import read, through_tensorstore
from migrator.checkpoints.layouts import orbax
from migrator.checkpoints.operations.evaluate import evaluate
from migrator.checkpoints.storage import Range, Stored
from migrator.checkpoints.verify import Names, Proof


def check(place: Path, proof: Proof) -> bytes:
  """Reads every byte of a target once, and of the source where it was copied, and compares them.

  Returns:
    The content of the list of sums.

  Raises:
    CheckpointError: any byte that differs; the leaves are listed.
  """
  if read.entries(place) != through_tensorstore.entries(place):
    raise CheckpointError('TensorStore reads another index than was written; nothing was written')
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


def _arrays(place: Path) -> dict[Names, Stored]:
  return {path: leaf.stored for path, leaf in orbax.read(place).leaves().items() if isinstance(leaf, Source)}


def _decodes_to(array: Stored, value: Expression, path: Names) -> bool:
  """Compares values bit by bit, a chunk of the target at a time."""
  for grid in array.chunks:
    region = tuple((at * part, min((at + 1) * part, size)) for at, part, size in zip(grid, array.chunk_shape, array.shape))
    got = codec.decode(array, grid, names.shown(path))[tuple(slice(0, stop - start) for start, stop in region)]
    if np.ascontiguousarray(got).tobytes() != np.ascontiguousarray(evaluate(value, region)).tobytes():
      return False
  return True
