"""A checkpoint as it was opened: a tree whose leaves are expressions; no array was read."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints.expressions import Expression


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """root: the folder or file.  layout: the reader's name.  tree: nested dicts, lists, None and texts.

  The tree is what restoring without a target gives, with expressions in place of the arrays.
  """

  root: Path | str
  layout: str
  tree: Any

  def leaves(self) -> dict[tuple[str, ...], Expression]:
    """Returns {path: array} in the order of the checkpoint."""
    return dict(_leaves(self.tree, ()))


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Expression]]:
  if isinstance(node, Expression):
    yield path, node
  elif isinstance(node, Mapping):
    for name, child in node.items():
      yield from _leaves(child, (*path, str(name)))
  elif isinstance(node, list | tuple):
    for position, child in enumerate(node):
      yield from _leaves(child, (*path, str(position)))
