"""Carries weights between Linen and NNX: leaf maps, states, optimizer states, checkpoint files."""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from migrator.weights.errors import AmbiguousError, WeightsError

if TYPE_CHECKING:
  from migrator.weights.composition import compose, compose_from_nnx
  from migrator.weights.convert_state import load, map_for, to_linen, to_nnx
  from migrator.weights.live_optimizer import load_optimizer
  from migrator.weights.optimizer import map_optimizer_state
  from migrator.weights.sample_call import SampleCall

__all__ = [
  'AmbiguousError', 'SampleCall', 'WeightsError', 'compose', 'compose_from_nnx', 'load', 'load_optimizer', 'map_for',
  'map_optimizer_state', 'to_linen', 'to_nnx',
]

_HOMES = {
  'compose': 'composition', 'compose_from_nnx': 'composition',
  'load': 'convert_state', 'map_for': 'convert_state', 'to_linen': 'convert_state', 'to_nnx': 'convert_state',
  'load_optimizer': 'live_optimizer', 'map_optimizer_state': 'optimizer', 'SampleCall': 'sample_call',
}


def __getattr__(name: str) -> Any:
  """Imports what is asked for, so that composing a map does not import flax."""
  if name not in _HOMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  # Not under the function's name: a submodule of that name would take its place here.
  return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)
