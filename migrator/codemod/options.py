"""Options and results of a migration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from migrator.manifest import Manifest
from migrator.report.findings import ClassReport, Finding


@dataclasses.dataclass(frozen=True)
class Options:
  """How to migrate.

  mode: 'argument' keeps train flags as arguments, with 'module' they are the mode of the model.
  names: 'idiomatic' (`linear1`) or 'linen' (`Dense_0`).
  numerics: 'idiomatic' takes the NNX layer where it only rounds in another order, 'exact' adds helpers that give the bits.
  select, ignore: patterns of the classes that are migrated, and of those that are not ('zoo.vit:*', 'ViT').
  jobs: number of processes; files that have to do with each other are migrated in one of them.
  """

  mode: str = 'argument'
  names: str = 'idiomatic'
  numerics: str = 'idiomatic'
  jobs: int = 1
  select: tuple[str, ...] = ()
  ignore: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class FileChange:
  """One file that changes, or is new (then `before` is empty)."""

  path: Path
  before: str
  after: str


@dataclasses.dataclass
class MigrationResult:
  """What a migration would write and what it has to say.

  files: changed and new files; classes: one report per Linen class; findings: what the user must look at;
  errors: files that could not be read; manifest: the map for convert and check.
  hidden: codes of findings that are neither shown nor counted.
  """

  files: list[FileChange]
  classes: list[ClassReport]
  findings: list[Finding]
  manifest: Manifest
  errors: list[Finding]
  hidden: frozenset[str] = frozenset()
