"""The rows of one layer's record, applied to the leaves below one module, in both directions.

A relative rule is (NNX path, Linen leaves as (collection, path), axis), all below the module.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from migrator.weights.leaf_map import NnxPath

if TYPE_CHECKING:
  from rewrites.record import Child, Layer

Path = tuple[str, ...]
LinenLeaf = tuple[str, Path]
RelativeRule = tuple[NnxPath, tuple[LinenLeaf, ...], int | None]


def from_linen(record: Layer | None, leaves: Sequence[LinenLeaf]) -> tuple[list[RelativeRule], list[str]]:
  """Returns the rules that the Linen leaves of a layer ask for, and the Linen leaves that are missing."""
  left = {(collection, '/'.join(path)): (collection, path) for collection, path in leaves}
  rules: list[RelativeRule] = []
  missing: list[str] = []
  for row in _rows(record, 'Concatenate'):
    for collection in sorted({collection for collection, _ in left}):
      parts = [left.pop((collection, part), None) for part in row.linen]
      found = tuple(part for part in parts if part is not None)
      if len(found) == len(parts):
        rules.append((tuple(row.nnx.split('/')), found, row.axis))
      elif found:
        missing += [f'{collection}/{name}'
                    for name, part in zip(row.linen, parts, strict=True) if part is None]
  rules += [(_renamed(record, path), ((collection, path),), None) for collection, path in left.values()]
  return rules, missing


def from_nnx(record: Layer | None, leaves: Sequence[tuple[str, NnxPath]]) -> list[RelativeRule]:
  """Returns the rules that the NNX leaves of a layer, as (collection, path), ask for."""
  fused = {row.nnx: row for row in _rows(record, 'Concatenate')}
  rules: list[RelativeRule] = []
  for collection, path in leaves:
    row = fused.get('/'.join(map(str, path)))
    if row is not None:
      rules.append((path, tuple((collection, tuple(name.split('/'))) for name in row.linen), row.axis))
    else:
      rules.append((path, ((collection, _original(record, path)),), None))
  return rules


def _rows(record: Layer | None, kind: str) -> list:
  """The rows of one kind; records are imported where there are any."""
  if record is None:
    return []
  from rewrites import record as records
  return [row for row in record.parameters if isinstance(row, getattr(records, kind))]


def _renamed(record: Layer | None, path: Path) -> NnxPath:
  text = '/'.join(path)
  for row in _rows(record, 'Rename'):
    if text == row.linen or text.startswith(row.linen + '/'):
      return tuple((row.nnx + text[len(row.linen):]).split('/'))
  for child in record.children if record else ():
    if (match := _child_pattern(child).fullmatch(path[0])) is not None:
      position = (int(match[1]),) if child.many else ()
      return (*child.nnx.split('/'), *position, *path[1:])
  return path


def _original(record: Layer | None, path: NnxPath) -> Path:
  text = '/'.join(map(str, path))
  for row in _rows(record, 'Rename'):
    if text == row.nnx or text.startswith(row.nnx + '/'):
      return tuple((row.linen + text[len(row.nnx):]).split('/'))
  for child in record.children if record else ():
    stem = tuple(child.nnx.split('/'))
    if path[:len(stem)] == stem and len(path) > len(stem) + child.many:
      name = child.linen_name.replace('{}', str(path[len(stem)])) if child.many else child.linen_name
      return (name, *map(str, path[len(stem) + child.many:]))
  return tuple(map(str, path))


def _child_pattern(child: Child) -> re.Pattern[str]:
  return re.compile('([0-9]+)'.join(re.escape(part) for part in child.linen_name.split('{}')))
