"""Keys under which answers are remembered: equal keys mean equal questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import oracle
from .dims import text_of
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


def memory_key(value: Value, write: Callable[[Any], str] = text_of) -> Any:
  """Returns a hashable key of a value.

  write: gives the text of a size; one that writes neutral names tells apart less.
  Values that hold a function or a module are told apart by its definition and its arguments.

  Raises:
    NoKey: the value cannot be told apart from others by its content.
  """
  if value is None or isinstance(value, (str, int, float, bytes, complex)):
    return (type(value).__name__, value)
  if oracle.is_symbolic(value):
    return ('dim', write(value))
  if isinstance(value, Array):
    return ('array', tuple(map(write, value.shape)), value.dtype, value.optional)
  if isinstance(value, (tuple, list)):
    return (type(value).__name__, *(memory_key(item, write) for item in value))
  if isinstance(value, dict):
    return ('dict', *((str(key), memory_key(item, write)) for key, item in value.items()))
  return _object_key(value, write)


def _object_key(value: Value, write: Callable[[Any], str]) -> Any:
  if isinstance(value, Unknown):
    return ('unknown', value.reason, value.line, value.soft)
  if isinstance(value, ClassRef):
    return ('class', value.source.name)
  if isinstance(value, Instance):
    return _instance_key(value, write)
  if isinstance(value, Partial):
    return ('partial', *(memory_key(part, write) for part in (value.function, value.args, value.kwargs)))
  if isinstance(value, Closure):
    if value.local or value.self_value is not None:
      raise NoKey
    return ('function', id(value.node))
  if isinstance(value, Alternatives):
    return ('either', *(memory_key(item, write) for item in value.options))
  if isinstance(value, Repeated):
    return ('repeated', id(value.loop), memory_key(value.element, write), memory_key(value.items, write))
  if isinstance(value, (Bound, VariableRef)):
    raise NoKey
  return repr(value)


def _instance_key(value: Instance, write: Callable[[Any], str]) -> Any:
  if value.creation is not None:
    raise NoKey  # every use of it is noted, so its calls are followed each time
  fields = {name: item for name, item in value.fields.items() if name not in ('name', 'parent')}
  return ('module', value.label, memory_key(fields, write))
