"""What a call sows is a by-product of the call, no weight: it is known by watching `sow`, on both sides."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def watched_sow(kind: Any) -> Iterator[set[tuple[Any, str]]]:
  """Notes (collection or variable type, name) of every value sown inside the context.

  Args:
    kind: the base class of all modules, nn.Module or nnx.Module; both have `sow(self, collection, name, ...)`.
  """
  original, seen = kind.sow, set()

  @functools.wraps(original)
  def sow(self: Any, collection: Any, name: str, *args: Any, **keywords: Any) -> Any:
    seen.add((collection, name))
    return original(self, collection, name, *args, **keywords)

  kind.sow = sow
  try:
    yield seen
  finally:
    kind.sow = original


def without(tree: Any, names: set[str]) -> Any:
  """Returns a tree of one collection without the entries of these names; modules left empty go too."""
  if not hasattr(tree, 'items'):
    return tree
  kept = {
    key: without(value, names) for key, value in tree.items() if key not in names or hasattr(value, 'items')
  }
  return {key: value for key, value in kept.items() if not (hasattr(value, 'items') and not value)}
