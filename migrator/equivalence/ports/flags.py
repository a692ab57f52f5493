"""Flags that switch between training and evaluation: finding them, and their names on the other side."""
from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

# Name -> what it is in training.
TRAINING = {'train': True, 'training': True, 'is_training': True, 'is_train': True,
            'deterministic': False, 'use_running_average': False, 'eval': False, 'inference': False}
Flags = Mapping[str, Any]


def infer_modes(linen: Any, method: str) -> dict[str, Flags]:
  """Returns the flags of 'eval' and 'train' as the Linen module takes them; only 'eval' if it takes none."""
  parameters = inspect.signature(getattr(type(linen), method)).parameters
  fields = {field.name for field in dataclasses.fields(linen)}
  known = [name for name in TRAINING if name in parameters]
  known = known or [name for name in TRAINING if name in fields]
  if not known:
    return {'eval': {}}
  return {'eval': {name: not TRAINING[name] for name in known}, 'train': {name: TRAINING[name] for name in known}}


def translated(flags: Flags, model: Any, method: str) -> dict[str, Any]:
  """Returns flags under the names the NNX method takes: `train=True` may be `deterministic=False` there."""
  parameters = inspect.signature(getattr(type(model), method)).parameters
  free = [name for name in TRAINING if name in parameters and name not in flags]
  result: dict[str, Any] = {}
  for name, value in flags.items():
    if name not in parameters and name in TRAINING and len(free) == 1 and isinstance(value, bool):
      result[free[0]] = value if TRAINING[name] == TRAINING[free[0]] else not value
    else:
      result[name] = value
  return result
