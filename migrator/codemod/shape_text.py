"""Writes whole shapes: leading axes that are those of an input are taken over from it, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .sizes import InputAxis, SizeWriter, placeholder_part


def shape_text(shape: tuple[Any, ...], sizes: SizeWriter, size_text: Callable[[Any], str]) -> str:
  """Returns `(*x_shape[:-1], features)`, `x_shape`, or `(a, b, c)`."""
  axes = [_input_axis(dim, sizes) for dim in shape]
  first = axes[0] if axes else None
  if (
    first is None
    or len(shape) < 2
    or len(shape) != first.rank
    or not all(_follows(axis, first, i) for i, axis in enumerate(axes[:-1]))
  ):
    written = [size_text(dim) for dim in shape]
    return f'({", ".join(written)}{"," if len(written) == 1 else ""})'
  sizes.needed[first] = None
  if (
    axes[-1] is not None
    and (axes[-1].method, axes[-1].argument) == (first.method, first.argument)
    and axes[-1].axis == first.rank - 1
  ):
    return placeholder_part(first, 'all')
  return f'(*{placeholder_part(first, "leading")}, {size_text(shape[-1])})'


def _input_axis(dim: Any, sizes: SizeWriter) -> InputAxis | None:
  info = sizes.table.info(str(dim))
  return (
    InputAxis(info.method, info.argument, info.axis, info.rank)
    if info is not None and info.kind == 'input'
    else None
  )


def _follows(axis: InputAxis | None, first: InputAxis, position: int) -> bool:
  return axis == InputAxis(first.method, first.argument, position, first.rank)
