"""Constructor arguments that nothing but the weights tells: read off the shapes that change with them."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from migrator.manifest import Manifest
from migrator.weights import nnx_leaves, transform
from migrator.weights.composition import compose
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import NnxPath, show
from migrator.weights.variables import flatten

# Two sizes with many divisors: models are built with them, without arrays, to see which weights follow.
PROBES = (5040, 10080)


def asked_sizes(build: Callable[..., Any], variables: Mapping[str, Any], manifest: Manifest, class_name: str,
                given: Sequence[str] = ()) -> dict[str, int | None]:
  """Returns the constructor arguments of the NNX model that only the weights tell.

  Args:
    build: makes the model from these arguments, by keyword; all others are bound in it.
    variables: of Linen; only their shapes are used.
    manifest, class_name: what the migration decided, and the root class.
    given: arguments that are known already.

  Returns:
    the size by argument; None for one whose module this model does not have.  Empty for a class that
    asks for none.

  Raises:
    WeightsError: a size is in no weight, or two weights tell different sizes.
  """
  entry = manifest.classes[class_name]
  asked = {item.name: item.optional for item in entry.arguments if item.asked and item.name not in given}
  if not asked:
    return {}
  classes: dict[NnxPath, str] = {}
  first = _shapes(build, dict.fromkeys(asked, PROBES[0]), classes)
  actual = _actual(variables, manifest, class_name, first, classes)
  moved = {name: _moved(first, _shapes(build, dict.fromkeys(asked, PROBES[0]) | {name: PROBES[1]}))
           for name in asked}
  shared = {place for name in asked for place in moved[name] if sum(place in moved[other] for other in asked) > 1}
  found: dict[str, int | None] = {}
  for name, optional in asked.items():
    told = {place: _size(actual[place[0]][place[1]], rate, first[place[0]][place[1]])
            for place, rate in moved[name].items() if place not in shared}
    sizes = {size for size in told.values() if size is not None}
    if len(sizes) > 1:
      listed = [f'{show(path)}, axis {axis}: {size}' for (path, axis), size in told.items()]
      raise WeightsError(f'{class_name}: the weights tell several sizes for {name}; give it yourself:', listed)
    if not sizes and not optional:
      raise WeightsError(f'{class_name}: no weight tells the size {name}; give it among the constructor arguments')
    found[name] = next(iter(sizes), None)
  return found


def _shapes(build: Callable[..., Any], arguments: dict[str, int],
            classes: dict[NnxPath, str] | None = None) -> dict[NnxPath, tuple[int, ...]]:
  """Returns the shapes of a model's weights, and puts the classes of its modules into `classes`."""
  import jax
  from flax import nnx

  shapes: dict[NnxPath, tuple[int, ...]] = {}

  def probe() -> None:  # the model itself stays inside: plain arrays among its attributes cannot leave the trace
    model = build(**arguments)
    shapes.update({path: tuple(leaf.get_value().shape) for path, leaf in nnx_leaves.weights(model).items()})
    if classes is not None:
      classes.update(nnx_leaves.classes(model))

  with nnx.use_eager_sharding(False):
    jax.eval_shape(probe)
  return shapes


def _actual(variables: Mapping[str, Any], manifest: Manifest, class_name: str,
            paths: Mapping[NnxPath, Any], classes: Mapping[NnxPath, str]) -> dict[NnxPath, tuple[int, ...]]:
  """Returns the shapes that the Linen variables have in the places of NNX."""
  import jax
  flat = {path: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for path, leaf in flatten(variables).items()}
  values = transform.forward(compose(manifest, class_name, flat, paths, classes=classes), flat)
  return {path: tuple(value.shape) for path, value in values.items()}


def _moved(first: Mapping[NnxPath, tuple[int, ...]],
           second: Mapping[NnxPath, tuple[int, ...]]) -> dict[tuple[NnxPath, int], int]:
  """Returns the axes that follow the size, and how much they grow with it; roundings are left out."""
  step = PROBES[1] - PROBES[0]
  return {(path, axis): (b - a) // step for path, shape in first.items()
          for axis, (a, b) in enumerate(zip(shape, second[path], strict=True)) if b != a and (b - a) % step == 0}


def _size(actual: int, rate: int, at_probe: int) -> int | None:
  """Solves `rate * size + constant = actual`."""
  size, rest = divmod(actual - (at_probe - rate * PROBES[0]), rate)
  return None if rest else size
