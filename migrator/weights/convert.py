"""Converts checkpoint files: read, plan, write."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import staging
from migrator.checkpoints.encode import BUDGET
from migrator.checkpoints.write import Written
from migrator.manifest import Manifest
from migrator.weights import write as writing
from migrator.weights.leaf_map import LeafMap
from migrator.weights.plan import Plan, plan, root_class
from migrator.weights.read import read
from migrator.weights.recognise import recognise

RESTORE_MODEL = """abstract = nnx.eval_shape(lambda: Model(..., rngs=nnx.Rngs(0)))
graphdef, random, weights = nnx.split(abstract, nnx.RngState, ...)
weights = ocp.StandardCheckpointer().restore(path, weights)"""
RESTORE_TRAINING = """optimizer = nnx.eval_shape(lambda: nnx.Optimizer(model, tx, wrt=nnx.Param))
target = {'model': weights, 'optimizer': nnx.state(optimizer)}
restored = ocp.StandardCheckpointer().restore(path, target)"""
RESTORE_MSGPACK = """weights = nnx.restore_int_paths(flax.serialization.msgpack_restore(path.read_bytes()))
nnx.replace_by_pure_dict(state, weights)"""

UNCHECKED = 'names, shapes and dtypes were not compared with an NNX model; give --model to do so'


@dataclasses.dataclass(frozen=True)
class ConversionReport:
  """What a conversion did.

  layout: 'orbax' or 'msgpack', of the source.  kind: 'variables', 'params' or 'train state'.
  arrays, size: number of arrays and bytes written.  checked: compared with an NNX model.
  notes: what was assumed.  restore: how to read the target, as Python lines.  written: how the
  bytes came about.
  """

  source: Path
  target: Path
  layout: str
  kind: str
  class_name: str
  arrays: int
  size: int
  checked: bool
  leaf_map: LeafMap
  notes: tuple[str, ...]
  restore: str
  written: Written


def convert(source: Path, target: Path, manifest: Manifest, class_name: str | None = None, *,
            layout: str = 'auto', model: str | None = None, arguments: Mapping[str, Any] | None = None,
            copy: bool = False, deep: bool = False, budget: int = BUDGET) -> ConversionReport:
  """Converts a Linen checkpoint into one that NNX restores; the source is only read.

  Args:
    source: Orbax item, CheckpointManager step folder, or flax msgpack file.
    target: the new Orbax item; a flax msgpack file if its name ends with .msgpack.
    manifest: what the migration decided.
    class_name: the root class; None if exactly one class is contained in no other.
    layout: 'auto', 'orbax' or 'msgpack', of the source.
    model: 'package.module:Class' to check names, shapes and dtypes against; without it no
      user code is imported.
    arguments: constructor arguments for `model`.
    copy: share no bytes with the source.
    deep: read all bytes back, compare them, and write the list of their sums.
    budget: bytes of values in memory at one time.

  Random streams are no weights: their variables are not in the target.

  Raises:
    WeightsError: whatever does not fit; nothing is written then.
  """
  staging.refuse_target(target)
  found, planned = planned_for(source, manifest, class_name, layout=layout, model=model, arguments=arguments)
  as_msgpack = target.suffix == '.msgpack'
  if as_msgpack:
    written = writing.msgpack(target, planned.pure())
  else:
    written = writing.orbax(target, planned.stored(), copy=copy, deep=deep, budget=budget)
  unchecked = () if model else (UNCHECKED,)
  return ConversionReport(source, target, found, planned.kind, planned.class_name, written.arrays, written.size,
                          bool(model), planned.leaf_map, (*planned.notes, *unchecked),
                          _restore(planned.kind, as_msgpack), written)


def planned_for(source: Path, manifest: Manifest, class_name: str | None = None, *, layout: str = 'auto',
                model: str | None = None, arguments: Mapping[str, Any] | None = None) -> tuple[str, Plan]:
  """Returns the layout of a checkpoint and the plan of its conversion; nothing is written."""
  tree, found = read(source, layout)
  expected = None
  if model:
    from migrator.weights.model import abstract_model
    expected = abstract_model(model, arguments, _sizes(tree, manifest, class_name, arguments))
  return found, plan(tree, manifest, class_name, expected)


def _sizes(tree: Any, manifest: Manifest, class_name: str | None, arguments: Mapping[str, Any] | None) -> Any:
  """Returns what reads the sizes off the weights that nothing else tells."""
  from migrator.weights.asked_sizes import asked_sizes
  root = class_name or root_class(manifest)
  return lambda build: asked_sizes(build, recognise(tree, manifest).variables, manifest, root, tuple(arguments or ()))


def _restore(kind: str, as_msgpack: bool) -> str:
  if as_msgpack:
    return RESTORE_MSGPACK
  return f'{RESTORE_MODEL}\n{RESTORE_TRAINING}' if kind == 'train state' else RESTORE_MODEL
