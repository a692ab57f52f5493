"""What a train flag is: its key, what True means, and the attributes that `train()` and `eval()` set."""

from __future__ import annotations

import ast
import dataclasses

DETERMINISTIC, RUNNING = 'deterministic', 'use_running_average'
# Set to False by `Module.train()` and to True by `Module.eval()`, wherever they exist.
ATTRIBUTES = (DETERMINISTIC, RUNNING)
TRAINING = frozenset({'train', 'training', 'is_training', 'is_train', 'enable_dropout', 'train_mode'})
EVALUATION = frozenset({'deterministic', 'use_running_average', 'is_eval', 'eval_mode', 'evaluation'})


@dataclasses.dataclass(frozen=True, order=True)
class Flag:
  """A parameter of a method; classes that inherit from each other share their methods.

  family: name of one class that stands for all of them.
  """

  family: str
  method: str
  name: str


@dataclasses.dataclass(frozen=True)
class Reading:
  """A flag as an expression reads it: `train`, or `not train`."""

  flag: Flag
  negated: bool


def polarity_of_name(name: str) -> bool | None:
  """Tells whether True means training by the name of a flag; None where the name does not tell."""
  return True if name in TRAINING else False if name in EVALUATION else None


def may_be_flag(annotation: ast.expr | None, default: ast.expr | None) -> bool:
  """Tells whether annotation and default of a parameter allow a truth value."""
  if default is not None and not (isinstance(default, ast.Constant) and default.value in (True, False, None)):
    return False
  if isinstance(default, ast.Constant) and type(default.value) not in (bool, type(None)):
    return False
  return annotation is None or 'bool' in ast.unparse(annotation) or ast.unparse(annotation) in ('Any', 'typing.Any')
