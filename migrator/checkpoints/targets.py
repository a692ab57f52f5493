"""The forms a checkpoint is written in: each appears whole or not at all."""
from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import names, staging
from migrator.checkpoints import plan as planning
from migrator.checkpoints import write as orbax
from migrator.checkpoints.errors import CheckpointError
from migrator.checkpoints.expressions import Expression, expression
from migrator.checkpoints.layouts import orbax_nodes
from migrator.checkpoints.plan import BUDGET
from migrator.checkpoints.processes import ALONE, Processes
from migrator.checkpoints.write import Written

# 'orbax' holds an nnx.State, 'orbax-pure' the same without the level 'value'.
FORMS = ('orbax', 'orbax-pure', 'msgpack', 'safetensors')
_FILES = {'msgpack': 'msgpack_write', 'safetensors': 'safetensors'}

refuse_target = staging.refuse_target


def form_of(target: Path, form: str | None) -> str:
  """Returns the form that was asked for, else the one the name ends with, else 'orbax'."""
  if form is None:
    return target.suffix[1:] if target.suffix[1:] in _FILES else 'orbax'
  if form not in FORMS:
    raise CheckpointError(f'form {form!r} is none of {", ".join(FORMS)}')
  return form


def write(content: Mapping[tuple[Any, ...], Any], target: Path, form: str, *, copy: bool = False, deep: bool = False,
          dry: bool = False, reencode: bool = False, budget: int = BUDGET,
          processes: Processes = ALONE) -> Written:
  """Writes a plan, or tells what writing it would do.

  Args:
    content: {path: expression or array; text, None or an empty level where the form has them}.
    copy: share no bytes with the source (a file never does).
    deep: read everything back and compare.
    dry: write nothing.
    reencode, budget, processes: as `write_orbax`; a file is written by the first process.

  Raises:
    CheckpointError: what the form cannot hold, an existing target, or a damaged source.
  """
  values = {path: expression(value) if hasattr(value, 'dtype') else value for path, value in content.items()}
  names.refuse(tuple(map(str, path)) for path in values)
  if form in _FILES:
    with processes.together():
      return _file(values, target, form, deep, dry or not processes.is_first)
  empty = [names.shown(map(str, path)) for path, value in values.items()
           if isinstance(value, Expression) and 0 in value.shape]
  if empty:
    raise CheckpointError('Orbax stores no arrays without elements; write to a .msgpack file instead:', sorted(empty))
  if dry:
    return _told(planning.plan(orbax_nodes.split(values)[0], reencode))
  return orbax.write_orbax(values, target, copy=copy, deep=deep, reencode=reencode, budget=budget,
                           processes=processes)


def _told(planned: planning.Plan) -> Written:
  arrays = sum(planned.count(how) for how in ('kept', 'indexed', 'encoded', 'new'))
  linked = planned.total('kept') + planned.total('indexed')
  new = planned.total('encoded') + planned.total('new')
  return Written(arrays, linked + new, linked, new, (), 'planned')


def _file(values: Mapping[tuple[Any, ...], Any], target: Path, form: str, deep: bool, dry: bool) -> Written:
  arrays = {path: value for path, value in values.items() if isinstance(value, Expression)}
  size = sum(value.nbytes for value in arrays.values())
  if dry:
    return Written(len(arrays), size, 0, size, (), 'planned')
  writer = importlib.import_module(f'migrator.checkpoints.layouts.{_FILES[form]}')
  with staging.staged(target) as place:
    writer.write(place, values)
    if deep:
      _compare(place, arrays, form)
    new = place.stat().st_size
  return Written(len(arrays), size, 0, new, (), 'deep' if deep else 'written')


def _compare(place: Path, arrays: Mapping[tuple[Any, ...], Expression], form: str) -> None:
  """Reads a written file back, array by array."""
  from migrator.checkpoints.layouts import open_checkpoint
  from migrator.checkpoints.operations.evaluate import evaluate
  found = open_checkpoint(place, form).leaves()
  wrong = [names.shown(map(str, path)) for path, value in arrays.items()
           if evaluate(found[tuple(map(str, path))]).tobytes() != evaluate(value).tobytes()]
  if wrong:
    raise CheckpointError('the written file differs from its source; the disk may be damaged:', wrong)


