"""A case: one model, how to build it and call it, and what must be equal."""
from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from migrator.equivalence.inputs import SpecError, parse_spec
from migrator.failure import Failure

_MODEL = re.compile(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*')


class CaseError(Failure):
  """A case cannot be used; the message names the case, the field and what is allowed."""


@dataclasses.dataclass(frozen=True)
class Case:
  """One model to compare.

  name: unique name of the case.
  model: 'package.module:Class', the same on both sides.
  arguments: constructor arguments in Linen's names; a text is a Python expression
    ('10', 'zoo.vit.ViTConfig()', "'gelu'"), any other JSON value is itself.
  nnx_arguments: constructor arguments that read differently on the NNX side; None leaves one out.
  inputs: positional call arguments: 'f32[2,8]' (random normal numbers), 'i32[2,8] < 100' (random
    whole numbers from 0), 'bool[2]', or '=expression'.
  keywords: call arguments by keyword, written like `inputs`.
  eval: flags of the call in evaluation (JSON values, or '=expression'); None to leave it out.
  train: flags of the call in training; None to leave it out.
  rngs: random streams the call draws from, such as 'dropout'.
  mutable: collections that training changes, such as 'batch_stats'.
  eval_mutable: collections that evaluation changes, such as 'cache'.
  method: the method that is called.
  tolerance: largest error that still passes, relative to the scale of the reference.
  gradients: compare gradients too.
  extra_inputs: compute the output for extra inputs too: not-a-number, large, masked and shorter ones.
  optimizer: expression of the optax chain whose step is proved, such as 'optax.sgd(0.1)'; '' for none.
  nnx_optimizer: that of the NNX side where it is written otherwise, such as a mask by names; '' for the same.
  """

  name: str
  model: str
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  nnx_arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  inputs: tuple[str, ...] = ()
  keywords: Mapping[str, str] = dataclasses.field(default_factory=dict)
  eval: Mapping[str, Any] | None = dataclasses.field(default_factory=dict)
  train: Mapping[str, Any] | None = None
  rngs: tuple[str, ...] = ()
  mutable: tuple[str, ...] = ()
  eval_mutable: tuple[str, ...] = ()
  method: str = '__call__'
  tolerance: float = 1e-5
  gradients: bool = True
  extra_inputs: bool = True
  optimizer: str = 'optax.adamw(1e-3)'
  nnx_optimizer: str = ''

  def __post_init__(self) -> None:
    for name in ('inputs', 'rngs', 'mutable', 'eval_mutable'):
      value = getattr(self, name)
      if isinstance(value, list):
        object.__setattr__(self, name, tuple(value))
    for name, (check, allowed) in _FIELDS.items():
      if not check(getattr(self, name)):
        raise CaseError(f'case {self.name!r}: {name} = {getattr(self, name)!r}; allowed: {allowed}')
    for name, spec in self.specs():
      try:
        parse_spec(spec)
      except SpecError as error:
        raise CaseError(f'case {self.name!r}: {name}: {error}') from None
    if self.eval is None and self.train is None:
      raise CaseError(f'case {self.name!r}: eval and train are both left out; give the flags of one of them')

  def specs(self) -> list[tuple[str, str]]:
    """Returns (where, text) of every call input."""
    positional = [(f'inputs[{k}]', spec) for k, spec in enumerate(self.inputs)]
    return positional + [(f'keywords.{name}', spec) for name, spec in self.keywords.items()]

  def to_json(self) -> dict[str, Any]:
    """Returns plain JSON values; `from_json` reads them back."""
    return json.loads(json.dumps(dataclasses.asdict(self)))


def from_json(table: Any, where: str) -> Case:
  """Builds a case from a table of names and values.

  Args:
    table: what the file holds; `eval = false` and `train = false` mean "leave it out".
    where: the file and position, for messages.

  Raises:
    CaseError: no table, an unknown or missing field, or a value that is not allowed.
  """
  if not isinstance(table, Mapping):
    raise CaseError(f'{where}: a case is a table of fields, not {type(table).__name__}')
  named = f'case {table["name"]!r}' if isinstance(table.get('name'), str) else where
  known = [field.name for field in dataclasses.fields(Case)]
  unknown = sorted(str(name) for name in table if name not in known)
  if unknown:
    raise CaseError(f'{named}: {unknown[0]} is no field of a case; allowed: {", ".join(known)}')
  missing = [name for name in ('name', 'model') if name not in table]
  if missing:
    raise CaseError(f'{named}: {missing[0]} is missing; allowed: {_FIELDS[missing[0]][1]}')
  values: dict[str, Any] = {name: None if name in ('eval', 'train') and value is False else value
                            for name, value in table.items()}
  return Case(**values)


def check_unique(cases: list[Case]) -> list[Case]:
  """Returns the cases.

  Raises:
    CaseError: two cases have the same name.
  """
  names = [case.name for case in cases]
  twice = next((name for name in names if names.count(name) > 1), None)
  if twice is not None:
    raise CaseError(f'case {twice!r}: name is given {names.count(twice)} times; allowed: one case per name')
  return cases


def _is_json_table(value: Any) -> bool:
  if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
    return False
  try:
    json.dumps(dict(value))
  except (TypeError, ValueError):
    return False
  return True


def _is_names(value: Any) -> bool:
  return isinstance(value, tuple) and all(isinstance(name, str) and name for name in value)


def _is_tolerance(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


_TABLE = 'a table of names to JSON values'
_EXPRESSIONS = f'{_TABLE}; write anything else as the text of a Python expression'
_FIELDS: dict[str, tuple[Any, str]] = {
  'name': (lambda value: isinstance(value, str) and value.strip() != '', 'a text'),
  'model': (lambda value: isinstance(value, str) and _MODEL.fullmatch(value), "'package.module:Class'"),
  'arguments': (_is_json_table, _EXPRESSIONS),
  'nnx_arguments': (_is_json_table, _EXPRESSIONS),
  'inputs': (lambda value: isinstance(value, tuple) and all(isinstance(text, str) for text in value),
             "a list of texts such as 'f32[2,8]'"),
  'keywords': (lambda value: _is_json_table(value) and all(isinstance(v, str) for v in value.values()),
               "a table of names to texts such as 'f32[2,8]'"),
  'eval': (lambda value: value is None or _is_json_table(value), f'{_TABLE}, or false'),
  'train': (lambda value: value is None or _is_json_table(value), f'{_TABLE}, or false'),
  'rngs': (_is_names, 'a list of stream names'),
  'mutable': (_is_names, 'a list of collection names'),
  'eval_mutable': (_is_names, 'a list of collection names'),
  'method': (lambda value: isinstance(value, str) and value.isidentifier(), 'the name of a method'),
  'tolerance': (_is_tolerance, 'a number from 0 up to (not including) 1'),
  'gradients': (lambda value: isinstance(value, bool), 'true or false'),
  'extra_inputs': (lambda value: isinstance(value, bool), 'true or false'),
  'optimizer': (lambda value: isinstance(value, str), "the text of an expression such as 'optax.adamw(1e-3)', or ''"),
  'nnx_optimizer': (lambda value: isinstance(value, str), "the text of an expression such as 'optax.adamw(1e-3)', or ''"),
}
