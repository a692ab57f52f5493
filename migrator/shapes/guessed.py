"""Arrays of which nothing is known, once a layer has taken them: the layer says its features, the rest is a guess."""

from __future__ import annotations

import ast
from typing import Any

from .symbols import SymbolInfo
from .values import Array, Instance, Unknown

_RANK = 3


def guessed_input(it: Any, owner: Instance, unknown: Unknown, node: ast.Call, frame: Any) -> Array | None:
  """Returns an array of unknown sizes for a layer's input that could not be followed; the guess is noted.

  What follows the layer can be followed again: the sizes of its output other than its features stay unknown.
  """
  kernel = owner.fields.get('kernel_size')
  rank = len(kernel) + 2 if isinstance(kernel, (tuple, list)) else _RANK
  if unknown.soft or (owner.layer or '').endswith(('.Dropout', '.Embed', '.RNN', '.Bidirectional')):
    return None
  if frame.subject and it.recording:
    text = ast.unparse(node.args[0]) if node.args else 'the input'
    it.record.notes.append((node.lineno, f'{text[:60]} is taken to have {rank} axes: nothing in the source tells'))
  names = [f'unseen_{node.lineno}_{axis}' for axis in range(rank)]
  return Array(tuple(it.table.new(name, SymbolInfo('opaque')) for name in names))
