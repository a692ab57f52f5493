"""From a Linen tree to what is written, as data: nothing is read or written here.

The leaves may be arrays, or expressions over the arrays of an opened checkpoint, which stay unread.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from migrator.checkpoints.expressions import Expression
from migrator.manifest import Manifest, Submodule, every
from migrator.weights import boxes, scalars, transform
from migrator.weights.composition import compose
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap, NnxPath
from migrator.weights.optimizer import map_optimizer_state
from migrator.weights.recognise import Recognised, recognise
from migrator.weights.variables import array_of, flatten, leaves, unflatten

# What Orbax writes of an nnx.State: each variable has its array in the entry 'value'.
VALUE = ('value',)

class Masked:
  """Stands for a parameter that the optimizer leaves out: NNX keeps an empty variable there."""


MASKED = Masked()


@dataclasses.dataclass(frozen=True)
class Plan:
  """What will be written.

  model: {NNX path: array}.  optimizer: {path below the optimizer: array}; None without one.
  extra: {whole path: array or text} of further train state entries.  None in the two stands for an empty
    variable, the place of a masked parameter.
  """

  class_name: str
  kind: str
  leaf_map: LeafMap
  model: dict[NnxPath, Any]
  optimizer: dict[tuple[str, ...], Any] | None
  extra: dict[tuple[str, ...], Any]
  notes: tuple[str, ...]

  def pure(self) -> dict[tuple[str, ...], Any]:
    """Returns {path: value} without a 'value' level, as nnx.to_pure_dict gives them, with text keys.

    Masked places of the optimizer hold no array and are not in it.
    """
    return {path: value for path, value in self._flat(()).items() if value is not None}

  def stored(self) -> dict[tuple[str, ...], Any]:
    """Returns {path: value} as Orbax stores an nnx.State: each leaf below 'value'."""
    return self._flat(VALUE)

  def tree(self) -> dict[str, Any]:
    """Returns `stored` as nested dicts."""
    return unflatten(self.stored())

  def _flat(self, level: tuple[str, ...]) -> dict[tuple[str, ...], Any]:
    model = {(*map(str, path), *level): value for path, value in self.model.items()}
    if self.kind != 'train state':
      return model
    whole = {('model', *path): value for path, value in model.items()}
    if self.optimizer is not None:
      whole |= {('optimizer', *path, *level): value for path, value in self.optimizer.items()}
    return whole | self.extra


def plan(tree: Any, manifest: Manifest, class_name: str | None, expected: Any = None) -> Plan:
  """Returns the plan for a restored or opened tree.

  Args:
    tree: variables dict, bare params, or a train state, with numpy arrays or expressions.
    class_name: the root class; None if the manifest has exactly one class that no other contains.
    expected: abstract NNX model to check against, or None.

  Raises:
    WeightsError: as `compose` and `map_optimizer_state`.
  """
  opened = boxes.opened(tree)
  if opened is None:
    return _plan(tree, manifest, class_name, expected)
  try:
    found = _plan(opened, manifest, class_name, expected)
  except WeightsError as error:
    try:  # 'value' may be the name of a parameter
      return _plan(tree, manifest, class_name, expected)
    except WeightsError:
      raise error from None
  return dataclasses.replace(found, notes=(*found.notes, "the 'value' levels of partitioned parameters are opened"))


def _plan(tree: Any, manifest: Manifest, class_name: str | None, expected: Any) -> Plan:
  found = recognise(tree, manifest)
  root = class_name or root_class(manifest)
  flat = flatten(found.variables)
  if not flat:
    raise WeightsError('the checkpoint holds no weights: every level is empty; give another one')
  leaf_map, model = _model(flat, manifest, root, expected)
  optimizer = _optimizer(found, leaf_map, flat)
  extra = {} if not found.extra else _values(map_optimizer_state(found.extra, leaf_map, flat, MASKED))
  taken = sorted({path[0] for path in extra} & {'model', 'optimizer'})
  if taken:
    raise WeightsError(f'the train state has an entry {taken[0]!r}, a name the NNX side needs; rename it')
  chosen = () if class_name else (f'class {root}: the only one that no other class contains',)
  notes = (*chosen, *found.notes)
  return Plan(root, found.kind, leaf_map, model, optimizer, extra, notes)


def root_class(manifest: Manifest) -> str:
  """Returns the only class that no other class contains; raises WeightsError with the candidates."""
  inner = {member.cls for entry in manifest.classes.values() for member in every(entry.members)
           if isinstance(member, Submodule) and member.cls != entry.name}
  roots = sorted(set(manifest.classes) - inner)
  if len(roots) == 1:
    return roots[0]
  listed = ', '.join(roots or sorted(manifest.classes)) or 'none'
  raise WeightsError(f'the class of the model is not clear; name it with --class (candidates: {listed})')


def _model(flat: Mapping, manifest: Manifest, root: str, expected: Any) -> tuple[LeafMap, dict[NnxPath, Any]]:
  if expected is None:
    leaf_map = compose(manifest, root, flat)
    return leaf_map, transform.forward(leaf_map, flat)
  from migrator.weights import convert_state, nnx_leaves
  weights = nnx_leaves.weights(expected)
  leaf_map = convert_state.composed(manifest, root, flat, expected)
  return leaf_map, convert_state.checked(leaf_map, transform.forward(leaf_map, flat), weights)


def _optimizer(found: Recognised, leaf_map: LeafMap, flat: Mapping) -> dict[tuple[str, ...], Any] | None:
  if found.opt_state is None and found.step is None:
    return None
  mapped = map_optimizer_state(found.opt_state, leaf_map, flat, MASKED)
  state = {('opt_state', *path): value for path, value in _values(mapped).items()}
  return state if found.step is None else {('step',): step_number(found.step), **state}


def step_number(value: Any) -> Any:
  """The step as nnx.Optimizer keeps it: an unsigned 32-bit number."""
  number = scalars.of(value)
  if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**32:
    told = transform.describe(value) if hasattr(value, 'dtype') else type(value).__name__
    raise WeightsError(f'step: {told} {"" if number is None else number} is no step number; correct the checkpoint')
  if isinstance(value, Expression):
    return scalars.given(number, 'uint32')
  import numpy as np
  return np.asarray(number, np.uint32)


def _values(tree: Any) -> dict[tuple[str, ...], Any]:
  """The leaves of an optimizer state or of further entries; texts and stored Python numbers stay as they are."""
  return {path: None if value is MASKED else value if isinstance(value, Expression | str) else array_of(value, path)
          for path, value in leaves(tree)}
