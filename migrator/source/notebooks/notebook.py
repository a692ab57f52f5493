"""A notebook read from its JSON: the code cells as one module, and back."""
from __future__ import annotations

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

from migrator.source.notebooks.magics import opaque, with_magics, without_magics
from migrator.source.notebooks.spans import Span, lines_as_json, replaced, spans

_BORDER = '__linen2nnx_cell__ = {}\n'
_IS_BORDER = re.compile(r'^__linen2nnx_cell__ = (\d+)\r?\n', re.MULTILINE)


class NotebookError(Exception):
  """The text is no notebook."""


def is_notebook(path: Path) -> bool:
  return path.suffix == '.ipynb'


@dataclasses.dataclass(frozen=True)
class Cell:
  """One code cell.

  place: its index among all cells; number: among the code cells, from 1; source: its text; line: first line of its
  text in the module; as_list: the file holds it as a list of lines.
  """

  place: int
  number: int
  source: str
  line: int
  as_list: bool


class Notebook:
  """The Python cells of a notebook.

  text: all of them as one module, magics as calls; between two cells stands an assignment that says so.
  """

  def __init__(self, raw: str) -> None:
    """Reads a notebook.

    Raises:
      NotebookError: it is none.
    """
    self.raw = raw
    self.cells: list[Cell] = []
    parts: list[str] = []
    line = 1
    for place, cell in enumerate(_code_cells(raw)):
      if cell is None:
        continue
      source = cell if isinstance(cell, str) else ''.join(cell)
      if parts:
        parts.append(_BORDER.format(place))
        line += 1
      self.cells.append(Cell(place, len(self.cells) + 1, source, line, isinstance(cell, list)))
      part = _ended(_python(source))
      parts.append(part)
      line += part.count('\n')
    self.text = ''.join(parts)

  def where(self, line: int) -> tuple[int, int]:
    """Returns the number of the cell and the line in it of a line of the module; (0, 0) for no line."""
    cell = next((cell for cell in reversed(self.cells) if cell.line <= line), None)
    return (0, 0) if cell is None else (cell.number, line - cell.line + 1)

  def line_on_disk(self, line: int) -> int:
    """Returns the line of the file that holds a line of the module; 0 for no line."""
    number, inside = self.where(line)
    if not number:
      return 0
    cell = self.cells[number - 1]
    path = ('cells', cell.place, 'source')
    start, _ = self._places.get((*path, inside - 1)) or self._places[path]
    return self.raw.count('\n', 0, start) + 1

  @functools.cached_property
  def _places(self) -> dict[tuple[str | int, ...], Span]:
    return dict(spans(self.raw, 'source'))

  def with_text(self, text: str) -> str:
    """Returns the notebook with the cells of a changed module; every other byte is as it was."""
    changes: list[tuple[Span, str]] = []
    sources = _split(text, [cell.place for cell in self.cells])
    for cell, new in zip(self.cells, sources):
      if new == _ended(_python(cell.source)):
        continue
      source = _magic_first(with_magics(new), cell.source)
      if not cell.source.endswith('\n'):
        source = source.rstrip('\n')
      path = ('cells', cell.place, 'source')
      start, end = self._places[path]
      raw = self.raw[start:end]
      if cell.as_list:
        items = [span for item, span in self._places.items() if item[:-1] == path]
        changes.append(((start, end), lines_as_json(raw, items, source.splitlines(keepends=True), self.raw)))
      else:
        changes.append(((start, end), json.dumps(source, ensure_ascii=self.raw.isascii())))
    return replaced(self.raw, changes)


def _code_cells(raw: str) -> list[str | list[str] | None]:
  """Returns the source of every cell, as the file holds it; None for other than code in Python."""
  try:
    document = json.loads(raw)
    cells = document['cells']
    metadata = document.get('metadata', {})
    language = metadata.get('kernelspec', {}).get('language') or metadata.get('language_info', {}).get('name', 'python')
    found = [_source(cell) if language == 'python' else None for cell in cells]
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
    raise NotebookError(f'{type(error).__name__}: {error}') from error
  return found


def _source(cell: dict[str, Any]) -> str | list[str] | None:
  source = cell.get('source', '')
  plain = isinstance(source, str) or isinstance(source, list) and all(isinstance(line, str) for line in source)
  return source if plain and source and cell['cell_type'] == 'code' else None


def _python(source: str) -> str:
  text = without_magics(source)
  return opaque(source) if text is None else text


def _magic_first(source: str, before: str) -> str:
  """Returns a cell whose `%%magic` is its first line, as it was before."""
  first = before.split('\n', 1)[0]
  lines = source.split('\n')
  if not first.startswith('%%') or lines[0] == first or first not in lines:
    return source
  lines.remove(first)
  return '\n'.join([first, *lines])


def _ended(text: str) -> str:
  return text if text.endswith('\n') else f'{text}\n'


def _split(text: str, places: list[int]) -> list[str]:
  """Returns the cells of a module, in their order.

  Raises:
    NotebookError: the borders are not where they were.
  """
  first, *rest = _IS_BORDER.split(text)
  if [int(place) for place in rest[::2]] != places[1:]:
    raise NotebookError('the borders of its cells were moved')
  return [first, *rest[1::2]]
