"""Conditions on shapes, as the constructor can ask them."""

from __future__ import annotations

import re
from typing import Any

from migrator.shapes import oracle

from .sizes import SizeWriter


def different_shapes(left: tuple[Any, ...], right: tuple[Any, ...], sizes: SizeWriter) -> str:
  """Returns the condition under which two shapes differ, for a size of one or more along every axis.

  Axes that are equal are left out; an axis whose sizes agree when some fields are 1 gives the condition on
  these fields (a stride).
  """
  if len(left) != len(right):
    return 'True'
  conditions: list[str] = []
  units: list[str] = []
  for a, b in zip(left, right):
    if oracle.same(a, b) is True:
      continue
    fields = _unit_fields(a, b, sizes)
    if fields:
      units += [field for field in fields if field not in units]
    else:
      conditions.append(f'{sizes.text(a)} != {sizes.text(b)}')
  conditions = list(dict.fromkeys(conditions))
  conditions += _unit_conditions([sizes.field(field) for field in units])
  return ' or '.join(conditions) or 'False'


def _unit_fields(a: Any, b: Any, sizes: SizeWriter) -> list[str]:
  """Returns the field expressions that make two sizes equal when they are 1 and different when they are 2."""
  names_a, names_b = set(re.findall(r'[A-Za-z]\w*', str(a))), set(re.findall(r'[A-Za-z]\w*', str(b)))
  extra = [
    name
    for name in sorted(names_a ^ names_b)
    if (info := sizes.table.info(name)) is not None and info.kind == 'field'
  ]
  if not extra:
    return []
  ones, twos = dict.fromkeys(extra, 1), dict.fromkeys(extra, 2)
  same = all(
    oracle.evaluate_with(a, ones, attempt) == oracle.evaluate_with(b, ones, attempt) for attempt in range(2)
  )
  differ = all(
    oracle.evaluate_with(a, twos, attempt) != oracle.evaluate_with(b, twos, attempt) for attempt in range(2)
  )
  return [sizes.table.info(name).source for name in extra] if same and differ else []  # type: ignore[union-attr]


def _unit_conditions(sources: list[str]) -> list[str]:
  """`strides[0]`, `strides[1]` -> `strides != (1, 1)`; a plain `stride` -> `stride != 1`."""
  groups: dict[str, list[str]] = {}
  for source in sources:
    groups.setdefault(source.split('[')[0], []).append(source)
  conditions = []
  for name, members in groups.items():
    indexed = [f'{name}[{i}]' for i in range(len(members))]
    if members == indexed:
      conditions.append(f'{name} != ({", ".join("1" for _ in members)}{"," if len(members) == 1 else ""})')
    else:
      conditions += [f'{member} != 1' for member in members]
  return conditions
