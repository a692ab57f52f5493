"""What several commands share: a path type, and finding and reading the manifest."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator.failure import Failure
from migrator.roots import holding

if TYPE_CHECKING:
  from migrator.config import Settings
  from migrator.manifest import Manifest

PATH = click.Path(path_type=Path)


def manifest_at(project: Path, chosen: Path | None, settings: Settings, out: Path | None = None) -> Path:
  """Returns the manifest's file: the one chosen, else in the copy `out`, else as the settings say."""
  if chosen is not None:
    return chosen
  from migrator.config import MANIFEST
  return out / MANIFEST if out is not None else project / settings.manifest


def load_manifest(file: Path) -> Manifest:
  """Reads a manifest.

  Raises:
    Failure: there is none, it is malformed, or it is of a newer version; the message names the file.
  """
  from migrator.manifest import Manifest, ManifestError

  try:
    return Manifest.from_json(file.read_text(encoding='utf-8'))
  except FileNotFoundError as error:
    raise Failure(f'{file}: no manifest there; `linen2nnx migrate --write` writes it, '
                  '--manifest FILE names another') from error
  except (ManifestError, UnicodeDecodeError) as error:
    raise Failure(f'{file}: {error}') from error


def source_root(project: Path, manifest: Manifest) -> Path:
  """Returns the folder that the manifest's file names are relative to: the project's `src`, or itself."""
  return holding(project, (entry.file for entry in manifest.classes.values()))


def selected(options: dict[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
  """Returns the options with the patterns of classes alone, and the codes of findings that are not shown."""
  from migrator.report.choice import hidden_codes, split_words

  select, classes = split_words(options['select'], '--select')
  ignore, others = split_words(options['ignore'], '--ignore')
  return {**options, 'select': classes, 'ignore': others}, hidden_codes(select, ignore)
