"""Converts checkpoint files, both ways: open, plan, write.  Arrays that keep their bytes are never decoded."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator.checkpoints import targets
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.expressions import Source
from migrator.checkpoints.layouts import open_checkpoint
from migrator.checkpoints.plan import BUDGET
from migrator.checkpoints.processes import ALONE, Processes
from migrator.checkpoints.targets import Written
from migrator.manifest import Manifest
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap
from migrator.weights.model import abstract_model, random_state
from migrator.weights.plan import VALUE, Plan, plan, root_class
from migrator.weights.recognise import recognise
from migrator.weights.ruled import ruled

if TYPE_CHECKING:
  from migrator.weights.back import Back

RESTORE_MODEL = """abstract = nnx.eval_shape(lambda: Model(..., rngs=nnx.Rngs(0)))
graphdef, random, weights = nnx.split(abstract, nnx.RngState, ...)
weights = ocp.StandardCheckpointer().restore(path, weights)"""
RESTORE_WHOLE = """abstract = nnx.eval_shape(lambda: Model(..., rngs=nnx.Rngs(0)))
graphdef, weights = nnx.split(abstract)
weights = ocp.StandardCheckpointer().restore(path, weights)"""
RESTORE_TRAINING = """optimizer = nnx.eval_shape(lambda: nnx.Optimizer(model, tx, wrt=nnx.Param))
target = {'model': weights, 'optimizer': nnx.state(optimizer)}
restored = ocp.StandardCheckpointer().restore(path, target)"""
RESTORE_ENTRIES = """restored = ocp.StandardCheckpointer().restore(path)
weights = restored['model']  # dicts, each array below 'value'; the further entries are beside it"""
RESTORE_PURE = """weights = ocp.StandardCheckpointer().restore(path)
nnx.replace_by_pure_dict(state, nnx.restore_int_paths(weights))"""
RESTORE_MSGPACK = """weights = nnx.restore_int_paths(flax.serialization.msgpack_restore(path.read_bytes()))
nnx.replace_by_pure_dict(state, weights)"""
RESTORE_SAFETENSORS = """flat = safetensors.flax.load_file(path)
weights = nnx.restore_int_paths(flax.traverse_util.unflatten_dict(flat, sep='.'))
nnx.replace_by_pure_dict(state, weights)"""
RESTORE_LINEN = {
  'orbax': 'tree = ocp.PyTreeCheckpointer().restore(path)',
  'msgpack': 'tree = flax.serialization.msgpack_restore(path.read_bytes())',
  'safetensors': "tree = flax.traverse_util.unflatten_dict(safetensors.flax.load_file(path), sep='.')",
}

UNCHECKED = 'names, shapes and dtypes were not compared with an NNX model; give --model to do so'


@dataclasses.dataclass(frozen=True)
class ConversionReport:
  """What a conversion did, or would do.

  layout: of the source.  kind: 'variables', 'params' or 'train state'.  checked: compared with an
  NNX model.  notes: what was assumed.  restore: how to read the target, as Python lines.  written:
  what came of the bytes.  content: {path of the target: what it is made of}.
  """

  source: Path
  target: Path
  layout: str
  kind: str
  class_name: str
  checked: bool
  notes: tuple[str, ...]
  restore: str
  written: Written
  leaf_map: LeafMap
  content: Mapping[tuple[Any, ...], Any]

  @property
  def arrays(self) -> int:
    return self.written.arrays

  @property
  def size(self) -> int:
    return self.written.size


@dataclasses.dataclass(frozen=True)
class Options:
  """How to read and write.

  layout, step, item: of the source, as `open_checkpoint` takes them.  form: of the target, one of
  `targets.FORMS`; by its name when None.  rules: of `checkpoints.restructure`, applied last.  copy: share no bytes with
  the source.  deep: read everything back.  dry: plan only.  reencode: chunks as a fresh save has them.
  budget: bytes of values in memory.  processes: those that convert together.
  """

  layout: str = 'auto'
  step: str | None = None
  item: str | None = None
  form: str | None = None
  rules: tuple[str, ...] = ()
  copy: bool = False
  deep: bool = False
  dry: bool = False
  reencode: bool = False
  budget: int = BUDGET
  processes: Processes = ALONE


def convert(source: Path, target: Path, manifest: Manifest, class_name: str | None = None, *,
            model: str | None = None, arguments: Mapping[str, Any] | None = None, rngs: int | None = None,
            sample: Any = None, options: Options | None = None, **more: Any) -> ConversionReport:
  """Converts a Linen checkpoint into one that NNX restores; the source is only read.

  Args:
    source: a checkpoint of any layout.
    target: a new Orbax item; a flax msgpack or safetensors file if its name ends so.
    manifest: what the migration decided.
    class_name: the root class; None if exactly one class is contained in no other.
    model: 'package.module:Class' to check names, shapes and dtypes against; without it no
      user code is imported.
    arguments: constructor arguments for `model`.
    sample: a SampleCall of `model`, where a call makes some of its variables.
    rngs: seed of the random streams of `model`, which are written too; None leaves them out.
    more: options by name.

  Raises:
    WeightsError: whatever does not fit; nothing is written then.
  """
  chosen = dataclasses.replace(options or Options(), **more)
  form = targets.form_of(target, chosen.form)
  targets.refuse_target(target)
  if rngs is not None and model is None:
    raise WeightsError('the random streams are those of a model; give --model beside --rngs')
  opened = open_checkpoint(source, chosen.layout, chosen.step, chosen.item)
  sizes = _sizes(opened.tree, manifest, class_name, arguments)
  expected = abstract_model(model, arguments, sizes) if model else None
  if sample is not None:
    if expected is None:
      raise WeightsError('a sample call is one of a model; give --model too')
    from migrator.weights.sample_call import called
    expected = called(expected, sample)
  # Rules make another tree than the manifest tells of: the model is compared with what they make.
  planned = plan(opened.tree, manifest, class_name, None if chosen.rules else expected)
  random = random_state(model, arguments, rngs, sizes) if model and rngs is not None else {}
  content = ruled(_content(planned, form, random), chosen.rules)
  if chosen.rules and expected is not None:
    from migrator.weights import model_check
    model_check.check(content, expected, ('model',) if planned.kind == 'train state' else (),
                      VALUE if form == 'orbax' else ())
  written = _write(content, target, form, chosen)
  notes = planned.notes if model else (*planned.notes, UNCHECKED)
  return ConversionReport(source, target, opened.layout, planned.kind, planned.class_name, bool(model), notes,
                          _restore(planned, form, bool(random)), written, planned.leaf_map,
                          content)


def _sizes(tree: Any, manifest: Manifest, class_name: str | None, arguments: Mapping[str, Any] | None) -> Any:
  """Returns what reads the sizes off the weights that nothing else tells."""
  root = class_name or root_class(manifest)

  def sizes(build: Any) -> Any:
    # Not before there is a model: this imports Flax.
    from migrator.weights.asked_sizes import asked_sizes
    return asked_sizes(build, recognise(tree, manifest).variables, manifest, root, tuple(arguments or ()))
  return sizes


def _write(content: Mapping[tuple[Any, ...], Any], target: Path, form: str, chosen: Options) -> Written:
  return targets.write(content, target, form, copy=chosen.copy, deep=chosen.deep, dry=chosen.dry,
                       reencode=chosen.reencode, budget=chosen.budget, processes=chosen.processes)


def convert_back(source: Path, target: Path, manifest: Manifest, class_name: str | None = None, *,
                 template: Path | None = None, model: str | None = None, arguments: Mapping[str, Any] | None = None,
                 options: Options | None = None, **more: Any) -> ConversionReport:
  """Converts an NNX checkpoint back into a Linen one.

  Args:
    template: a Linen checkpoint of the same run or model: its names, order, sequences and empty
      entries are those of the target.  Needed where there is an optimizer state.
    model: 'package.module:Class', where there is no template.
    more: options by name; rules are those that the conversion to NNX was given, and are undone.

  Raises:
    WeightsError: whatever does not fit; nothing is written then.
  """
  chosen = dataclasses.replace(options or Options(), **more)
  form = targets.form_of(target, chosen.form)
  targets.refuse_target(target)
  opened = open_checkpoint(source, chosen.layout, chosen.step, chosen.item)
  made = _back(opened, manifest, class_name, template, abstract_model(model, arguments) if model else None, chosen)
  written = _write(made.content, target, form, chosen)
  return ConversionReport(source, target, opened.layout, made.kind, made.class_name, bool(model or template), made.notes,
                          RESTORE_LINEN[form.partition('-')[0]], written,
                          made.leaf_map, made.content)


def _back(opened: Checkpoint, manifest: Manifest, class_name: str | None, template: Path | None, model: Any,
          chosen: Options) -> Back:
  from migrator.weights import back
  if template is not None:
    return back.like(opened, open_checkpoint(template), manifest, class_name, chosen.rules)
  if chosen.rules:
    raise WeightsError('rules are undone by the structure of --template; give one')
  if model is None:
    raise WeightsError("Linen's names cannot be told from NNX alone; give --template, a Linen checkpoint of the same "
                       'model, or --model')
  return back.of_model(opened, manifest, class_name, model)


def _content(planned: Plan, form: str, random: Mapping[tuple[str, ...], Any]) -> dict[tuple[str, ...], Any]:
  above = ('model',) if planned.kind == 'train state' else ()
  below = VALUE if form == 'orbax' else ()
  content = planned.stored() if form == 'orbax' else planned.pure()
  return content | {(*above, *path, *below): _beside(value, content) for path, value in random.items()}


def _beside(value: Source, content: Mapping[tuple[str, ...], Any]) -> Source:
  """A made value on the devices that the arrays of the target are on: Orbax wants a record for all or for none."""
  placed = (leaf.stored.sharding for leaf in content.values() if isinstance(leaf, Source) and leaf.stored.sharding)
  known = json.loads(next(placed, 'null'))
  if known is None:
    return value
  if 'partition_spec' in known:
    known['partition_spec'] = []
  return dataclasses.replace(value, stored=dataclasses.replace(value.stored, sharding=json.dumps(known)))


def _restore(planned: Plan, form: str, with_random: bool) -> str:
  if form != 'orbax':
    return {'orbax-pure': RESTORE_PURE, 'msgpack': RESTORE_MSGPACK, 'safetensors': RESTORE_SAFETENSORS}[form]
  model = RESTORE_WHOLE if with_random else RESTORE_MODEL
  if planned.kind != 'train state':
    return model
  return RESTORE_ENTRIES if planned.optimizer is None else f'{model}\n{RESTORE_TRAINING}'
