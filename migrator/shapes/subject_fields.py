"""The fields of the class that is interpreted, refined by how other classes make it."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import oracle
from .fields import field_value
from .values import ClassRef, Closure, External, Instance, Late, Opaque, Partial, Value, contains


def subject_fields(it: Any, source: Any, observed: list[Any]) -> dict[str, Value]:
  """Returns the symbolic fields of a class, refined by how other classes make it."""
  fields: dict[str, Value] = {}
  for name, field in source.fields.items():
    value = field_value(it, field, f'self.{name}')
    fields[name] = _refined(value, [seen.fields[name] for seen in observed if name in seen.fields], name)
  return fields


def _refined(value: Value, seen: list[Value], name: str) -> Value:
  late = next((other for other in seen if contains(other, Late)), None)
  if isinstance(late, (Late,)):
    return Late(frozenset({name}), f'self.{name}')
  if late is not None:
    return late
  if not isinstance(value, (Opaque, External, ClassRef, Partial)):
    return value
  modules = [other for other in seen if _is_factory(other)]
  if modules and (not isinstance(value, Opaque) or value.kind in ('any', 'module', 'callable', 'object')):
    return modules[0]
  if not isinstance(value, Opaque):
    return value
  instances = [other for other in seen if isinstance(other, Instance)]
  if instances:
    return Instance(instances[0].source, instances[0].layer, dict(instances[0].fields), field=name)
  if value.kind in ('any', 'object') and value.of is None:
    return _kind_from(value, seen)
  return value


def _is_factory(value: Value) -> bool:
  if isinstance(value, Partial):
    return _is_factory(value.function)
  if isinstance(value, ClassRef):
    return value.source.is_linen
  if isinstance(value, External):
    return oracle.is_linen_class(value.name)
  return False


def _kind_from(value: Opaque, seen: list[Value]) -> Value:
  for other in seen:
    if isinstance(other, Opaque) and other.of is not None:
      return dataclasses.replace(value, kind='object', of=other.of)
    for kind, types in (('bool', bool), ('str', str), ('float', float)):
      if isinstance(other, types):
        return dataclasses.replace(value, kind=kind)
    if isinstance(other, Opaque) and other.kind not in ('any', 'object'):
      return dataclasses.replace(value, kind=other.kind, element=other.element)
    if isinstance(other, (Closure, External)):
      return dataclasses.replace(value, kind='callable')
  return value
