"""Writes a target from a plan: staged, proved, renamed once."""
from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.checkpoints import staging, transfer, verify
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.index import write as index
from migrator.checkpoints.layouts import orbax_nodes, orbax_write
from migrator.checkpoints.plan import BUDGET, Plan, Step, plan
from migrator.checkpoints.processes import ALONE, Processes
from migrator.checkpoints.storage import Range, Stored

if TYPE_CHECKING:
  from migrator.checkpoints.encode import Encoded

Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Written:
  """What was written.

  arrays, size: leaves, and bytes of their values.  linked: bytes of data files shared with the source.
  new: bytes in new files.  how: 'link', 'reflink' and 'copy' as they were used.  checked: 'index' or 'deep'.
  """

  arrays: int
  size: int
  linked: int
  new: int
  how: tuple[str, ...]
  checked: str

  def told(self) -> str:
    """Returns one line for people."""
    proof = 'all bytes compared, list of sums written' if self.checked == 'deep' else 'index proved'
    ways = f' ({", ".join(self.how)})' if self.linked else ''
    return f'{self.linked} bytes shared with the source{ways}, {self.new} bytes written, {proof}'


def write_orbax(content: Mapping[tuple[str | int, ...], Any], target: Path, *, copy: bool = False, deep: bool = False,
                reencode: bool = False, budget: int = BUDGET, processes: Processes = ALONE) -> Written:
  """Writes an Orbax item.

  Args:
    content: {path: expression or array; None, a text or an empty level}; an int in a path is a position
      of a sequence.
    copy: share no bytes with the source.
    deep: read all bytes back, and write the list of their sums.
    reencode: compute whatever is more than a rename.
    budget: bytes of values in memory, of each process.
    processes: those that call this together, with the same arguments.

  Raises:
    CheckpointError: the target exists, a name cannot be stored, or the source is damaged; there is
      no target then.
  """
  values, nodes = orbax_nodes.split(content)
  planned = plan(values, reencode)
  computed = [step for step in planned.steps if step.stored is None]
  if not processes.is_first:
    return _helped(planned, computed, budget, deep, processes)
  syncing = staging.Syncing()
  with processes.together(), contextlib.ExitStack() as stack:
    place = _place(target, syncing, stack, processes)
    made = _computed(computed, planned.version, place, budget, processes, deep)
    written = _written(planned, nodes, place, target, copy, deep, made, syncing)
  return written


def _place(target: Path, syncing: staging.Syncing, stack: contextlib.ExitStack, processes: Processes) -> Path:
  """Returns the staged folder, and tells the other processes of it; '' tells that there is none."""
  try:
    place = stack.enter_context(staging.staged(target, syncing))
    place.mkdir()
  except BaseException:
    processes.told('')
    raise
  processes.told(str(place))
  return place


def _helped(planned: Plan, computed: list[Step], budget: int, deep: bool, processes: Processes) -> Written:
  """What the other processes do: their share of the arrays that must be computed."""
  with processes.together():
    place = processes.told('')
    if not place:
      raise CheckpointError('the first process failed; its own message tells why; nothing was written')
    _computed(computed, planned.version, Path(place), budget, processes, deep)
  return Written(len(planned.steps), sum(step.value.nbytes for step in planned.steps), 0, 0, (), 'deep' if deep else 'index')


def _computed(steps: list[Step], version: int, place: Path, budget: int, processes: Processes,
              summed: bool) -> Mapping[Names, Encoded]:
  """Computes arrays; where there are none, NumPy is not imported for it."""
  if not steps:
    return {}
  from migrator.checkpoints.encode_together import encode_together
  return encode_together(steps, version, place, budget, processes, summed)


def _written(planned: Plan, nodes: orbax_nodes.Nodes, place: Path, target: Path, copy: bool, deep: bool,
             computed: Mapping[Names, Encoded], syncing: staging.Syncing) -> Written:
  kept = {step.path: step.stored for step in planned.steps if step.stored is not None}
  ranges = [chunk for array in kept.values() for chunk in array.chunks.values() if isinstance(chunk, Range)]
  with transfer.brought(ranges, place, copy) as brought:
    syncing.unless |= {place / found.name for found in brought.values()}
    syncing.left = any(found.how == 'copy' for found in brought.values())
    proof = verify.Proof(kept, computed, {step.path: step.value for step in planned.steps}, brought)
    _index(planned, nodes, place, target, proof)
    verify.prove(place, proof)
  if deep:
    from migrator.checkpoints import bitrot
    from migrator.checkpoints import deep as deeply
    staging.write_file(place / bitrot.NAME, deeply.check(place, proof))
  return _told(planned, place, brought, ranges, deep)


def _index(planned: Plan, nodes: orbax_nodes.Nodes, place: Path, target: Path, proof: verify.Proof) -> None:
  """Writes the index and the files beside it."""
  arrays: dict[Names, Stored] = {step.path: proof.kept.get(step.path) or proof.computed[step.path].stored
                                 for step in planned.steps}
  places: dict[Names, Mapping[tuple[int, ...], index.Place]] = {
    **{path: made.places for path, made in proof.computed.items()},
    **{path: {grid: proof.brought[chunk.file].place(chunk) if isinstance(chunk, Range) else chunk
              for grid, chunk in array.chunks.items()} for path, array in proof.kept.items()}}
  files = {**index.files(orbax_write.entries(arrays, places)), **orbax_write.metadata_files(arrays, nodes, target)}
  for name, content in files.items():
    staging.write_file(place / name, content)


def _told(planned: Plan, place: Path, brought: Mapping[str, transfer.Brought], ranges: list[Range],
          deep: bool) -> Written:
  shared = {place / found.name for found in brought.values() if found.how != 'copy'}
  new = sum(file.stat().st_size for file in place.rglob('*') if file.is_file() and file not in shared)
  linked = sum(chunk.length for chunk in ranges if brought[chunk.file].how != 'copy')
  return Written(len(planned.steps), sum(step.value.nbytes for step in planned.steps), linked, new,
                 tuple(sorted({found.how for found in brought.values()})), 'deep' if deep else 'index')
