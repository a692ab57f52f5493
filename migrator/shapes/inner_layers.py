"""Layers that call the layers they are made of (RNN, Bidirectional): those uses are noted too."""

from __future__ import annotations

import ast
from typing import Any

from .events import Use
from .values import Array, Instance, Value


def note_inner_uses(
  it: Any, owner: Instance, record: Any, args: tuple[Value, ...], node: ast.Call, frame: Any
) -> None:
  """Notes how the modules among the constructor arguments of a layer are called when the layer is.

  A cell sees one step of the sequence, a layer of layers sees the input itself.
  """
  from rewrites.registry import layer_for

  if not it.recording or not args or not isinstance(args[0], Array):
    return
  for child in record.children:
    inner = owner.fields.get(child.argument)
    if not isinstance(inner, Instance):
      continue
    inner_record = layer_for(inner.layer or '')
    nested = inner_record is not None and bool(inner_record.children)
    given: tuple[Value, ...] = args[:1] if nested else (None, _step(inner, args[0]))
    if inner.creation is not None:
      inner.creation.uses.append(Use(node, given, {}, '__call__', frame.node))
    if nested:
      note_inner_uses(it, inner, inner_record, args, node, frame)


def _step(cell: Instance, sequence: Array) -> Array:
  """One step: the array without its time axis, which stands before the feature axes."""
  kernel = cell.fields.get('kernel_size')
  features = 1 + (len(kernel) if isinstance(kernel, (tuple, list)) else 0)
  cut = len(sequence.shape) - features - 1
  if cut < 0:
    return sequence
  return Array(sequence.shape[:cut] + sequence.shape[cut + 1 :], sequence.dtype)
