"""Migrates the repositories in fixtures/bridge and imports both versions of them."""
from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / 'fixtures' / 'bridge'


def migrated_tree(source: Path, target: Path, mode: str = 'argument') -> tuple[Path, Any]:
  """Writes a migrated copy of a source tree; returns it and the result."""
  from migrator.codemod import Options, migrate
  shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
  result = migrate([target], target, Options(mode=mode))
  for change in result.files:
    change.path.write_text(change.after)
  return target, result


def written_tree(target: Path, files: dict[str, str]) -> Path:
  """Writes files and returns their folder."""
  for name, text in files.items():
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).write_text(text)
  return target


@contextlib.contextmanager
def imported(root: Path, *names: str):
  """Yields the modules `names` of a source tree, and forgets them and their neighbours afterwards."""
  own = {path.stem if path.is_file() else path.name for path in root.iterdir()}
  sys.path.insert(0, str(root))
  importlib.invalidate_caches()
  try:
    modules = [importlib.import_module(name) for name in names]
    yield modules if len(modules) > 1 else modules[0]
  finally:
    sys.path.remove(str(root))
    for name in [name for name in sys.modules if name.partition('.')[0] in own]:
      del sys.modules[name]


def outcomes(result: Any) -> dict[str, str]:
  return {report.name.partition(':')[2]: report.outcome for report in result.classes}


def renamed(tree: Any, names: dict[str, str]) -> Any:
  """Returns a tree of dicts with other keys at every level."""
  if not isinstance(tree, dict):
    return tree
  return {names.get(key, key): renamed(value, names) for key, value in tree.items()}
