"""From a stored NNX model or training run back to the Linen checkpoint it came from."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from migrator.checkpoints import expressions, storage
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.expressions import Expression, Literal, Source
from migrator.checkpoints.inverse import inverse
from migrator.manifest import Manifest
from migrator.weights import nnx_stored, transform
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap, show
from migrator.weights.plan import plan, root_class
from migrator.weights.ruled import ruled

STEP = ('optimizer', 'step')
Path = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Back:
  """content: {Linen path: expression, text, None or empty dict}; positions of sequences are ints."""

  class_name: str
  kind: str
  content: dict[Path, Any]
  notes: tuple[str, ...]
  leaf_map: LeafMap


def like(checkpoint: Checkpoint, template: Checkpoint, manifest: Manifest, class_name: str | None,
         rules: tuple[str, ...] = ()) -> Back:
  """Returns the Linen tree with the structure of a Linen checkpoint of the same run.

  Args:
    template: gives names, order, sequences, empty entries and texts; its arrays are not used.
    rules: what the conversion to NNX was given.

  Raises:
    WeightsError: leaves on one side only, other shapes or dtypes; all of them are listed.
  """
  named = _named(template.tree, ())
  planned = plan(named, manifest, class_name)
  wanted = ruled(planned.pure(), rules)
  found = nnx_stored.pure(checkpoint)
  dropped = nnx_stored.random_streams(found) - wanted.keys()
  problems = [f'NNX leaf {show(path)} has no Linen counterpart' for path in found.keys() - wanted.keys() - dropped]
  problems += [f'NNX leaf {show(path)} is missing' for path, value in wanted.items()
               if path not in found and not isinstance(value, str)]
  if problems:
    raise WeightsError('the NNX checkpoint does not fit the Linen template:', sorted(problems))
  made = {path: value for path, value in wanted.items() if isinstance(value, Expression)}
  arrays: dict[Path, Any] = dict(inverse(made, found))
  if STEP in wanted:
    arrays[('step',)] = _step(found[STEP], named['step'])
  notes = [f'the random streams {", ".join(sorted({show(path[:-1]) for path in dropped}))} are no part of Linen\'s '
           'variables and are left out'] if dropped else []
  return Back(planned.class_name, planned.kind, _filled(named, (), arrays), (*planned.notes, *notes), planned.leaf_map)


def of_model(checkpoint: Checkpoint, manifest: Manifest, class_name: str | None, model: Any) -> Back:
  """Returns the variables dict of a stored NNX model; the model's variable types tell the collections.

  Raises:
    WeightsError: the checkpoint holds more than a model, or its leaves are not those of `model`.
  """
  from migrator.weights import nnx_leaves
  from migrator.weights.composition import compose_from_nnx
  root = class_name or root_class(manifest)
  shapes = {tuple(map(str, path)): nnx_leaves.shape_and_dtype(variable, path)
            for path, variable in nnx_leaves.weights(model).items()}
  found = nnx_stored.pure(checkpoint)
  if {path[0] for path in found} - {path[0] for path in shapes} and 'model' in {path[0] for path in found}:
    raise WeightsError('the checkpoint holds a training run; give --template, a Linen checkpoint of the same run')
  dropped = nnx_stored.random_streams(found)
  there = {path: value for path, value in found.items() if path not in dropped}
  problems = [f'NNX leaf {show(path)} is not in the model' for path in there.keys() - shapes.keys()]
  problems += [f'NNX leaf {show(path)} is missing' for path in shapes.keys() - there.keys()]
  problems += [f'NNX leaf {show(path)}: {transform.describe(there[path])}, the model has {dtype}{list(shape)}'
               for path, (shape, dtype) in shapes.items()
               if path in there and (there[path].shape, there[path].dtype) != (shape, dtype)]
  if problems:
    raise WeightsError('the checkpoint is not one of this model:', sorted(problems))
  leaf_map = compose_from_nnx(manifest, root, nnx_leaves.collections(model), aliases=nnx_leaves.aliases(model))
  values = {rule.nnx: there[tuple(map(str, rule.nnx))] for rule in leaf_map}
  flat = transform.backward(leaf_map, values)
  return Back(root, 'variables', {path: flat[path] for path in sorted(flat)}, (), leaf_map)


def _named(node: Any, path: tuple[str, ...]) -> Any:
  """The same tree with every array known by its own path, however it is stored."""
  if isinstance(node, Mapping):
    return {name: _named(child, (*path, str(name))) for name, child in node.items()}
  if isinstance(node, list | tuple):
    return [_named(child, (*path, str(position))) for position, child in enumerate(node)]
  if isinstance(node, Source):
    return dataclasses.replace(node, path=path)
  if isinstance(node, Literal):
    return expressions.source(path, storage.raw(node.shape, node.dtype, node.array.tobytes()))
  if isinstance(node, Expression):  # an array in pieces: only its shape and type are used
    return Source(node.shape, node.dtype, path, storage.Stored(node.shape, node.dtype, 2, {}, {}))
  return node


def _filled(node: Any, path: Path, arrays: Mapping[Path, Any]) -> dict[Path, Any]:
  """{path: value} of every leaf and every empty level of the template."""
  if isinstance(node, Mapping) and node:
    return {leaf: value for name, child in node.items() for leaf, value in _filled(child, (*path, name), arrays).items()}
  if isinstance(node, list | tuple) and node:
    return {leaf: value for position, child in enumerate(node)
            for leaf, value in _filled(child, (*path, position), arrays).items()}
  if not isinstance(node, Expression):
    return {path: node}
  key = tuple(map(str, path))
  if key not in arrays:
    raise WeightsError(f'Linen leaf {show(path)} of the template gets no value from the NNX checkpoint')
  return {path: _of_kind(arrays[key], node)}


def _of_kind(value: Expression, template: Expression) -> Expression:
  """A value as the template stores it: a Python number stays one, and a typed key stays typed."""
  if not isinstance(template, Source) or not isinstance(value, Source):
    return value
  return dataclasses.replace(value, stored=dataclasses.replace(
    value.stored, kind=template.stored.kind, extra=value.stored.extra or template.stored.extra))


def _step(value: Expression, template: Any) -> Expression:
  """The step in the type of the template."""
  number = np.asarray(value)
  if number.shape != () or number.dtype.kind not in 'iu' or number < 0:
    raise WeightsError(f'NNX leaf optimizer/step: {transform.describe(number)} is no step number')
  if not np.can_cast(np.min_scalar_type(int(number)), template.dtype):
    raise WeightsError(f'step {int(number)} does not fit {template.dtype} of the template')
  cast = number.astype(template.dtype)
  return expressions.source(template.path, storage.raw((), cast.dtype, cast.tobytes(), kind=template.stored.kind))
