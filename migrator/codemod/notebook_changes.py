"""What was found in notebooks: lines of the files on disk, and sentences that name cells."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from migrator.manifest import Manifest
from migrator.report.findings import ClassReport, Finding
from migrator.source.notebooks import Notebook, NotebookError, is_notebook

from .options import FileChange, MigrationResult

_LINE = re.compile(r'(?<![\w:])line (\d+)\b')


def in_cells(result: MigrationResult, project: Any) -> MigrationResult:
  """Returns a result in which notebooks, read as one module each, are the files they are on disk."""
  sources = [file for file in project.index.files.values() if is_notebook(file.path) and file.notebook is not None]
  if not sources:
    return result
  notebooks = {file.relative: file.notebook for file in sources}
  relatives = {file.path: file.relative for file in sources}
  errors, files = list(result.errors), []
  for change in result.files:
    name = relatives.get(change.path)
    try:
      files.append(change if name is None else _file(change, notebooks[name]))
    except NotebookError as error:
      errors.append(Finding(name or '', 0, 'notebook', f'{name}: {error}; please report it', 'error'))
  maps = {name: dataclasses.replace(entry, line=notebooks[entry.file].line_on_disk(entry.line))
          if entry.file in notebooks else entry for name, entry in result.manifest.classes.items()}
  return dataclasses.replace(
    result,
    files=files,
    classes=[_report(item, notebooks) for item in result.classes],
    findings=sorted({_finding(item, notebooks) for item in result.findings}),
    manifest=Manifest(maps),
    errors=sorted({_finding(item, notebooks) for item in errors}),
  )


def _file(change: FileChange, notebook: Notebook) -> FileChange:
  return FileChange(change.path, notebook.raw, notebook.with_text(change.after))


def _finding(item: Finding, notebooks: Mapping[str, Notebook]) -> Finding:
  notebook = notebooks.get(item.file)
  if notebook is None or item.line == 0:
    return item
  cell, inside = notebook.where(item.line)
  message = f'cell {cell} line {inside}: {_sentence(item.message, notebook)}'
  return dataclasses.replace(item, line=notebook.line_on_disk(item.line), message=message)


def _sentence(text: str, notebook: Notebook) -> str:
  def place(match: re.Match[str]) -> str:
    cell, line = notebook.where(int(match.group(1)))
    return f'cell {cell} line {line}'

  return _LINE.sub(place, text)


def _report(item: ClassReport, notebooks: Mapping[str, Notebook]) -> ClassReport:
  notebook = notebooks.get(item.file)
  if notebook is None:
    return item
  return dataclasses.replace(
    item,
    line=notebook.line_on_disk(item.line),
    reasons=tuple(_sentence(text, notebook) for text in item.reasons),
    assumptions=tuple(_sentence(text, notebook) for text in item.assumptions),
  )
