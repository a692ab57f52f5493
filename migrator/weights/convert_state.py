"""Linen variables to nnx.State and back, bit for bit, with every leaf accounted for."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import nnx

from migrator.manifest import Manifest
from migrator.weights import nnx_leaves, transform
from migrator.weights.composition import compose, compose_from_nnx
from migrator.weights.errors import AmbiguousError, WeightsError
from migrator.weights.leaf_map import LeafMap, LinenPath, NnxPath, show
from migrator.weights.sample_call import HINT, SampleCall, attach, called, made_by_a_call, missing
from migrator.weights.variables import flatten, unflatten


def map_for(variables: Mapping[str, Any], manifest: Manifest, class_name: str, model: Any,
            sample: SampleCall | None = None) -> LeafMap:
  """Returns the leaf map of `variables` onto `model` (an nnx.Module, concrete or abstract, or its State)."""
  return composed(manifest, class_name, flatten(variables), called(model, sample), sample)


def composed(manifest: Manifest, class_name: str, flat: Mapping[LinenPath, Any], model: Any,
             sample: SampleCall | None = None) -> LeafMap:
  """Returns the leaf map onto a model; its error names the sample call where one is missing."""
  try:
    return compose(manifest, class_name, flat, nnx_leaves.weights(model), aliases=nnx_leaves.aliases(model),
                   classes=nnx_leaves.classes(model))
  except WeightsError as error:
    if sample is None and made_by_a_call(manifest) and not isinstance(error, AmbiguousError):
      raise WeightsError(f'{HINT}.  {error.args[0].splitlines()[0]}', error.problems) from error
    raise


def to_nnx(variables: Mapping[str, Any], manifest: Manifest, class_name: str,
           abstract_model: Any, sample: SampleCall | None = None) -> nnx.State:
  """Returns the weights of `variables` as the nnx.State of `abstract_model`.

  Args:
    variables: dict or FrozenDict {collection: tree}; numpy or jax arrays, boxes allowed.
    manifest, class_name: what the migration decided, and the root class.
    abstract_model: the model from nnx.eval_shape (or a concrete one), or its nnx.State.
    sample: a call that makes the variables which the constructor does not make.

  Returns:
    A State with the same paths, variable types and metadata; arrays are the given ones, not
    copies.  Random streams (RngKey, RngCount) are no weights and are left out.

  Raises:
    WeightsError: a leaf without counterpart, or another shape or dtype; all of them are listed.
  """
  flat = flatten(variables)
  model = called(abstract_model, sample)
  expected = nnx_leaves.weights(model)
  leaf_map = composed(manifest, class_name, flat, model, sample)
  values = checked(leaf_map, transform.forward(leaf_map, flat), expected)
  return nnx.from_flat_state([(path, expected[path].replace(values[path])) for path in expected])


def load(model: nnx.Module, variables: Mapping[str, Any], manifest: Manifest, class_name: str,
         sample: SampleCall | None = None) -> None:
  """Puts Linen variables into a concrete NNX model, in place; random streams keep their state.

  Args:
    sample: a call that makes the variables which the constructor does not make (caches, statistics
      made on demand); it is followed with shapes alone, and they are put into the model.

  Raises WeightsError as `to_nnx` does; the model is unchanged then.
  """
  import jax.numpy as jnp
  state = to_nnx(variables, manifest, class_name, model, sample)
  for place, made in missing(model, state).items():
    attach(model, place, made.replace(jnp.asarray(made.get_value())))
  variables_of_model = nnx_leaves.weights(model)
  for path, converted in nnx.to_flat_state(state):
    variables_of_model[nnx_leaves.plain(path)].set_value(jnp.asarray(converted.get_value()))


def to_linen(state: Any, manifest: Manifest, class_name: str,
             linen_template: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """Returns the variables dict of an NNX model or its State; the inverse of `to_nnx`.

  Args:
    state: nnx.Module or nnx.State; random streams in it are ignored.
    linen_template: variables of the same Linen model (arrays or shapes); needed where a
      Linen name cannot be told from NNX (see `compose_from_nnx`).

  Raises:
    WeightsError: as `to_nnx`; shapes and dtypes are checked against the template.
  """
  held = nnx_leaves.weights(state)
  values = {path: variable.get_value() for path, variable in held.items()}
  if linen_template is None:
    collections = {path: nnx_leaves.collection_of(variable) for path, variable in held.items()}
    leaf_map = compose_from_nnx(manifest, class_name, collections, aliases=nnx_leaves.aliases(state),
                                classes=nnx_leaves.classes(state))
    return unflatten(_sorted(transform.backward(leaf_map, values)))
  template = flatten(linen_template)
  leaf_map = compose(manifest, class_name, template, values, aliases=nnx_leaves.aliases(state),
                     classes=nnx_leaves.classes(state))
  flat = transform.backward(leaf_map, values, template)
  wrong = [f'Linen {show(path)} {transform.describe(template[path])}, from NNX {transform.describe(value)}'
           for path, value in flat.items()
           if (tuple(value.shape), value.dtype) != (tuple(template[path].shape), template[path].dtype)]
  if wrong:
    raise WeightsError('the template has other shapes or dtypes; use the template of this very model:',
                       sorted(wrong))
  return unflatten(_sorted(flat))


def checked(leaf_map: LeafMap, values: dict[NnxPath, Any],
            expected: Mapping[NnxPath, nnx.Variable]) -> dict[NnxPath, Any]:
  """Returns `values` if each has the shape and dtype the model expects; else raises WeightsError with all."""
  wrong = []
  for rule in leaf_map:
    value = values[rule.nnx]
    shape, dtype = nnx_leaves.shape_and_dtype(expected[rule.nnx], rule.nnx)
    if (tuple(value.shape), value.dtype) != (shape, dtype):
      wrong.append(f'Linen {", ".join(map(show, rule.linen))} {transform.describe(value)}, '
                   f'NNX {show(rule.nnx)} {dtype}[{",".join(map(str, shape))}]')
  if wrong:
    raise WeightsError('the model expects other shapes or dtypes; build it with the arguments the checkpoint '
                       'was trained with, or cast the weights before converting:', wrong)
  return values


def _sorted(flat: Mapping[LinenPath, Any]) -> dict[LinenPath, Any]:
  return {path: flat[path] for path in sorted(flat)}
