"""Applies a leaf map to arrays: bit for bit, both ways; on numpy arrays, jax arrays, or arrays of a checkpoint."""
from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.checkpoints.expressions import Expression, concatenate, described, slice_axis
from migrator.weights.errors import WeightsError
from migrator.weights.leaf_map import LeafMap, LinenPath, NnxPath, Rule, show


def forward(leaf_map: LeafMap, linen: Mapping[LinenPath, Any]) -> dict[NnxPath, Any]:
  """Returns {NNX path: array}.  Raises WeightsError for parts that do not fit together."""
  refused = [text for rule in leaf_map for text in _misfits(rule, [linen[path] for path in rule.linen])]
  if refused:
    raise WeightsError('parts that are concatenated must agree in dtype and in all other axes:', refused)
  return {rule.nnx: _joined([linen[path] for path in rule.linen], rule.axis) for rule in leaf_map}


def backward(leaf_map: LeafMap, nnx: Mapping[NnxPath, Any],
             template: Mapping[LinenPath, Any] | None = None) -> dict[LinenPath, Any]:
  """Returns {Linen path: array}; parts have the sizes of `template`, or equal sizes without one."""
  flat: dict[LinenPath, Any] = {}
  for rule in leaf_map:
    value = nnx[rule.nnx]
    if rule.axis is None:
      flat[rule.linen[0]] = value
      continue
    flat.update(zip(rule.linen, _parts(rule, value, template), strict=True))
  return flat


def _misfits(rule: Rule, parts: Sequence[Any]) -> list[str]:
  if rule.axis is None:
    return []
  first = parts[0]
  if any(not -len(part.shape) <= rule.axis < len(part.shape) for part in parts):
    return [f'Linen {show(path)} {describe(part)} has no axis {rule.axis} to join NNX {show(rule.nnx)}'
            for path, part in zip(rule.linen, parts, strict=True)]
  kinds = [(part.dtype, _other_axes(part.shape, rule.axis)) for part in parts]
  return [f'Linen {show(path)} {describe(part)} does not fit {show(rule.linen[0])} {describe(first)} '
          f'in NNX {show(rule.nnx)}'
          for path, part, kind in zip(rule.linen, parts, kinds, strict=True) if kind != kinds[0]]


def _other_axes(shape: Sequence[int], axis: int) -> tuple[int, ...]:
  skipped = axis % len(shape)
  return tuple(size for position, size in enumerate(shape) if position != skipped)


def _joined(parts: Sequence[Any], axis: int | None) -> Any:
  if axis is None:
    return parts[0]
  if any(isinstance(part, Expression) for part in parts):
    return concatenate(parts, axis)
  import numpy as np
  if all(isinstance(part, np.ndarray) for part in parts):
    return np.concatenate(parts, axis)
  import jax
  import jax.numpy as jnp
  if any(isinstance(part, jax.ShapeDtypeStruct) for part in parts):
    return jax.eval_shape(lambda *arrays: jnp.concatenate(arrays, axis), *parts)
  return jnp.concatenate(parts, axis)


def _parts(rule: Rule, value: Any, template: Mapping[LinenPath, Any] | None) -> list[Any]:
  axis = (rule.axis or 0) % len(value.shape)
  count = len(rule.linen)
  if template is None and value.shape[axis] % count:
    raise WeightsError(f'NNX {show(rule.nnx)} {describe(value)}: axis {axis} is not {count} equal parts for '
                       f'{", ".join(map(show, rule.linen))}; give the Linen tree as a template')
  sizes = [value.shape[axis] // count] * count if template is None else [template[path].shape[axis]
                                                                        for path in rule.linen]
  if sum(sizes) != value.shape[axis]:
    raise WeightsError(f'NNX {show(rule.nnx)} {describe(value)}: the Linen parts '
                       f'{", ".join(map(show, rule.linen))} have {sum(sizes)} together on axis {axis}; '
                       'use the template of this very model')
  ends = itertools.accumulate(sizes)
  return [_sliced(value, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _sliced(value: Any, axis: int, start: int, end: int) -> Any:
  if isinstance(value, Expression):
    return slice_axis(value, axis, start, end)
  import numpy as np
  index = (*[slice(None)] * axis, slice(start, end))
  if isinstance(value, np.ndarray):
    return np.ascontiguousarray(value[index])
  import jax
  abstract = isinstance(value, jax.ShapeDtypeStruct)
  return jax.eval_shape(lambda array: array[index], value) if abstract else value[index]


describe = described
