"""Keys under which answers are remembered: equal keys mean equal questions."""
from __future__ import annotations

from typing import Any

from . import oracle
from .values import (
  Alternatives,
  Array,
  Bound,
  ClassRef,
  Closure,
  Instance,
  Partial,
  Repeated,
  Unknown,
  Value,
  VariableRef,
)


class NoKey(Exception):
  """The value has an identity of its own, so that nothing can be remembered about it."""


def memory_key(value: Value) -> Any:
  """Returns a hashable key of a value.

  Values that hold a function or a module are told apart by its definition and its arguments.

  Raises:
    NoKey: the value cannot be told apart from others by its content.
  """
  if value is None or isinstance(value, (str, int, float, bytes, complex)):
    return (type(value).__name__, value)
  if oracle.is_symbolic(value):
    return ('dim', oracle.text_of(value))
  if isinstance(value, Array):
    return ('array', tuple(map(oracle.text_of, value.shape)), value.dtype, value.optional)
  if isinstance(value, (tuple, list)):
    return (type(value).__name__, *map(memory_key, value))
  if isinstance(value, dict):
    return ('dict', *((str(key), memory_key(item)) for key, item in value.items()))
  return _object_key(value)


def _object_key(value: Value) -> Any:
  if isinstance(value, Unknown):
    return ('unknown', value.reason, value.line, value.soft)
  if isinstance(value, ClassRef):
    return ('class', value.source.name)
  if isinstance(value, Instance):
    return _instance_key(value)
  if isinstance(value, Partial):
    return ('partial', memory_key(value.function), memory_key(value.args), memory_key(value.kwargs))
  if isinstance(value, Closure):
    if value.local or value.self_value is not None:
      raise NoKey
    return ('function', id(value.node))
  if isinstance(value, Alternatives):
    return ('either', *map(memory_key, value.options))
  if isinstance(value, Repeated):
    return ('repeated', id(value.loop), memory_key(value.element), memory_key(value.items))
  if isinstance(value, (Bound, VariableRef)):
    raise NoKey
  return repr(value)


def _instance_key(value: Instance) -> Any:
  if value.creation is not None:
    raise NoKey  # every use of it is noted, so its calls are followed each time
  return ('module', value.label, memory_key({name: item for name, item in value.fields.items()
                                             if name not in ('name', 'parent')}))
