"""Mistakes that are made when a model is written in NNX, derived from the records; `check --mutate` makes them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from rewrites.record import Argument
from rewrites.registry import registry

BIAS = 'use_bias'
# An initializer that no layer has, and other paddings.
INITIALIZER = 'nnx.initializers.constant(0.5)'
PADDINGS = {'SAME': "'VALID'", 'VALID': "'SAME'"}


@dataclasses.dataclass(frozen=True)
class Slips:
  """All names are NNX's, without their module.

  activations: functions that are forgotten.  with_bias: classes that have one unless they are told.
  numbers: arguments, and the factor of a mistake.  defaults: classes, and what they are wrongly told.
  flags: arguments of calls that are inverted.
  """

  activations: frozenset[str]
  with_bias: frozenset[str]
  numbers: Mapping[str, float]
  defaults: Mapping[str, Mapping[str, float]]
  flags: frozenset[str]


@functools.cache
def slips() -> Slips:
  """Returns what the records of all layers and functions tell."""
  found = registry()
  rows = [(layer.nnx.rpartition('.')[2], argument) for layer in found.layers for argument in layer.arguments
          if argument.nnx is not None]
  numbers = {str(argument.nnx): argument.slip for _, argument in rows if argument.slip is not None}
  defaults: dict[str, dict[str, float]] = {}
  for name, argument in rows:
    if _has_number(argument) and argument.slip is not None:
      defaults.setdefault(name, {})[str(argument.nnx)] = argument.nnx_default * argument.slip
  return Slips(
    frozenset(name for table in found.tables for name in table.forgettable),
    frozenset(name for name, argument in rows if argument.nnx == BIAS and argument.nnx_default is True),
    {**numbers, **{name: factor for table in found.tables for name, factor in table.slips.items()}},
    defaults,
    frozenset(argument.on_call for _, argument in rows if argument.on_call is not None))


def _has_number(argument: Argument) -> bool:
  # Nothing times zero is a mistake.
  return isinstance(argument.nnx_default, float) and argument.nnx_default != 0
