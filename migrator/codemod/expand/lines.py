"""Results in the lines of the files on disk, where other texts were read."""

from __future__ import annotations

import dataclasses
from typing import Any

from migrator.codemod.options import FileChange, MigrationResult
from migrator.manifest import Manifest
from migrator.report.findings import Finding

from .driver import Expansion


def on_disk(result: MigrationResult, project: Any, expansion: Expansion) -> MigrationResult:
  """Returns a result whose lines and old texts are those of the files on disk."""
  if not expansion.drafts:
    return result
  by_name = {path.relative_to(project.root).as_posix(): path for path in expansion.drafts}

  def line(file: str, number: int) -> int:
    return expansion.line(by_name[file], number) if file in by_name else number

  def sentence(file: str, text: str) -> str:
    return expansion.sentence(by_name[file], text) if file in by_name else text

  def finding(item: Finding) -> Finding:
    return dataclasses.replace(item, line=line(item.file, item.line), message=sentence(item.file, item.message))

  classes = [
    dataclasses.replace(
      item,
      line=line(item.file, item.line),
      reasons=tuple(sentence(item.file, text) for text in item.reasons),
      assumptions=tuple(dict.fromkeys(sentence(item.file, text) for text in item.assumptions)),
    )
    for item in result.classes
  ]
  maps = {
    name: dataclasses.replace(item, line=line(item.file, item.line)) for name, item in result.manifest.classes.items()
  }
  return MigrationResult(
    _files(result.files, expansion),
    classes,
    sorted({finding(item) for item in result.findings}),
    Manifest(maps),
    result.errors,
  )


def _files(files: list[FileChange], expansion: Expansion) -> list[FileChange]:
  """Changes against what is on disk, also of files that only lost a function."""
  changed = [
    dataclasses.replace(item, before=expansion.drafts[item.path].first) if item.path in expansion.drafts else item
    for item in files
  ]
  seen = {item.path for item in files}
  changed += [
    FileChange(path, draft.first, draft.text)
    for path, draft in expansion.drafts.items()
    if path not in seen and draft.text != draft.first
  ]
  return sorted(changed, key=lambda item: item.path)
