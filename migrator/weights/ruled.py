"""Applies the rules of `--rule` to a plan: its arrays, and the empty places of masked parameters with them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from migrator.checkpoints import expressions, storage
from migrator.checkpoints.dtypes import dtype_named
from migrator.checkpoints.expressions import Expression, Source
from migrator.checkpoints.restructure import restructured

Path = tuple[Any, ...]
_MASKED = ('', 'masked')


def ruled(content: Mapping[Path, Any], rules: Sequence[str]) -> dict[Path, Any]:
  """Returns the leaves after the rules; texts stay, and a masked place (None) goes where its parameter goes."""
  if not rules:
    return dict(content)
  values = {tuple(map(str, path)): _placeholder() if value is None else value
            for path, value in content.items() if value is None or hasattr(value, 'dtype')}
  rest = {path: value for path, value in content.items() if value is not None and not hasattr(value, 'dtype')}
  made = restructured(values, rules)
  return {path: None if _is_masked(value) else value for path, value in made.items()} | rest


def _placeholder() -> Expression:
  """An array without elements: it is stacked and joined as its parameter is, and with nothing else."""
  return expressions.source(_MASKED, storage.raw((0,), dtype_named('bool'), b''))


def _is_masked(value: Expression) -> bool:
  found = list(expressions.sources(value))
  return bool(found) and all(isinstance(leaf, Source) and leaf.path == _MASKED for leaf in found)
