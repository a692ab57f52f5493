"""Finds every record: each module in `rewrites.layers` and `rewrites.functions` holds RECORD or RECORDS.

A new Linen thing is known by putting its file into one of the two folders; there is no list to keep.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

from rewrites.record import Functions, Helper, Layer, Manual, Record

PACKAGES = ('rewrites.layers', 'rewrites.functions')
_LINEN = 'flax.linen.'


class DuplicateRecord(ValueError):
  """Two records claim the same Linen name; the message names both files."""


@dataclasses.dataclass(frozen=True)
class Registry:
  """All records, looked up by canonical Linen name."""

  layers: tuple[Layer, ...]
  by_name: Mapping[str, Layer]
  functions: Mapping[str, str]
  function_helpers: Mapping[str, Helper]
  exact_functions: Mapping[str, Helper]
  manual: Mapping[str, str]
  tables: tuple[Functions, ...] = ()


def collect(packages: Iterable[str] = PACKAGES) -> Registry:
  """Imports the modules of `packages` and returns their records.

  Raises:
    DuplicateRecord: one Linen name is claimed twice.
    TypeError: a module holds no record, or something else under that name.
  """
  owners: dict[str, str] = {}
  rows: list[Record] = []
  for module in _modules(packages):
    for record in _records(module):
      for name in _names(record):
        _claim(owners, name, str(module.__file__))
      rows.append(record)
  layers = tuple(row for row in rows if isinstance(row, Layer))
  tables = [row for row in rows if isinstance(row, Functions)]
  return Registry(
    layers=layers,
    by_name={name: layer for layer in layers for name in layer.linen},
    functions=_merged(table.names for table in tables),
    function_helpers=_merged(table.helpers for table in tables),
    exact_functions=_merged(table.exact for table in tables),
    manual=_merged(row.names for row in rows if isinstance(row, Manual)),
    tables=tuple(tables),
  )


def _modules(packages: Iterable[str]) -> Iterable[ModuleType]:
  for package in packages:
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    for name in sorted(module.name for module in found):
      yield importlib.import_module(f'{package}.{name}')


def _records(module: ModuleType) -> Sequence[Record]:
  single = getattr(module, 'RECORD', None)
  rows = (*(() if single is None else (single,)), *getattr(module, 'RECORDS', ()))
  if not rows:
    raise TypeError(f'{module.__file__}: no RECORD or RECORDS; add one, or move the file out of this folder')
  for row in rows:
    if not isinstance(row, Layer | Functions | Manual):
      raise TypeError(f'{module.__file__}: {row!r} is no Layer, Functions or Manual')
  return rows


def _names(record: Record) -> Iterable[str]:
  if isinstance(record, Layer):
    return record.linen
  if isinstance(record, Functions):
    return (*record.names, *record.helpers)
  return record.names


def _claim(owners: dict[str, str], name: str, file: str) -> None:
  if name in owners:
    raise DuplicateRecord(f'{name} has two records, in {owners[name]} and in {file}; remove one')
  owners[name] = file


def _merged(tables: Iterable[Mapping]) -> dict:
  return {name: value for table in tables for name, value in table.items()}


@functools.cache
def registry() -> Registry:
  """Returns the records of this project, read once."""
  return collect()


def canonical(name: str) -> str:
  """Returns the short name of a Linen object: `flax.linen.linear.Dense` -> `flax.linen.Dense`.

  Names that are recorded in their long form, and names that are not Linen's, come back unchanged.
  """
  found = registry()
  known = (found.by_name, found.functions, found.function_helpers, found.manual)
  if not name.startswith(_LINEN) or any(name in table for table in known):
    return name
  rest = name[len(_LINEN) :].split('.')
  short = f'{_LINEN}{rest[-1]}'
  return short if len(rest) == 2 and any(short in table for table in known) else name


def layers() -> tuple[Layer, ...]:
  """Returns every layer record, sorted by file."""
  return registry().layers


def layer_for(linen_qualified_name: str) -> Layer | None:
  """Returns the record of a Linen layer, or None; `flax.linen.linear.Dense` is `flax.linen.Dense`."""
  return registry().by_name.get(canonical(linen_qualified_name))


def layer_for_nnx(name: str) -> tuple[Layer, ...]:
  """Returns the records whose NNX side is `name`: `flax.nnx.Linear`, or the bare name of a helper class."""
  return tuple(layer for layer in layers() if layer.nnx == name)


def functions() -> dict[str, str]:
  """Returns {Linen qualified name: new qualified name} of functions and constants that are only renamed."""
  return dict(registry().functions)


def function_helper(linen_qualified_name: str) -> Helper | None:
  """Returns the helper that stands for a Linen function NNX does not have, or None."""
  return registry().function_helpers.get(canonical(linen_qualified_name))


def exact_function(linen_qualified_name: str) -> Helper | None:
  """Returns the helper that rounds as Linen does, for numerics='exact'; None when none is needed."""
  return registry().exact_functions.get(canonical(linen_qualified_name))


def manual_reason(linen_qualified_name: str) -> str | None:
  """Returns why a Linen name has no rewrite, or None when it has one or is not known."""
  return registry().manual.get(canonical(linen_qualified_name))
