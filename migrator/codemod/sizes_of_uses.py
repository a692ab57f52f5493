"""Which of several calls of one module tells its size."""

from __future__ import annotations

import re
from typing import Any

from migrator.shapes import oracle
from migrator.shapes.values import Array


def certain_first(uses: list[Any], analysis: Any) -> list[Any]:
  """Returns the uses so that those whose arrays are always given come before those with optional arrays.

  A projection called with the input or with an optional second input is as wide as the input: Linen makes one
  weight for both, and the constructor is told the sizes of what is always there.
  """
  return sorted(uses, key=lambda use: any(_optional(value, analysis) for value in use.args))


def several_sizes(name: str, uses: list[Any], analysis: Any) -> str | None:
  """Returns what is assumed of a layer whose calls show inputs of different sizes, else None."""
  seen = [
    (use.node.lineno, use.args[0].shape[-1])
    for use in uses
    if use.args and isinstance(use.args[0], Array) and use.args[0].shape
  ]
  others = [
    line
    for line, dim in seen[1:]
    if oracle.same(dim, seen[0][1]) is not True and not analysis.table.must_agree(dim, seen[0][1])
  ]
  if not others:
    return None
  lines = ', '.join(str(line) for line in sorted(set(others)))
  return f'{name} has one weight for all its calls: what line {lines} gives it is as wide as what line {seen[0][0]} gives'


def _optional(value: Any, analysis: Any) -> bool:
  """Tells whether a size of the array comes from a call argument that may be None."""
  if not isinstance(value, Array):
    return False
  infos = [
    analysis.table.info(name) for dim in value.shape for name in re.findall(r'[A-Za-z]\w*', str(dim))
  ]
  return any(
    info is not None
    and info.kind == 'input'
    and any(
      parameter.name == info.argument and parameter.role == 'optional'
      for parameter in analysis.parameters.get(info.method, [])
    )
    for info in infos
  )
