"""Which modules of a package imported before the migration and do not import after it.

Libraries that are not installed are stood in for by modules that can be imported and not be used.
"""
from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.corpus.reduced import stand_in

SECONDS = 600
# Modules that earlier ones imported are there already: each process imports all files once.
IMPORT_ALL = '''
import importlib, json, sys
import flax.linen, flax.nnx, optax  # before the stand-ins: what these look for and do not find they do without
sys.path.extend(json.loads(sys.argv[3]))
errors = {}
for name in json.loads(sys.argv[1]):
  try:
    importlib.import_module(name)
  except BaseException as error:
    errors[name] = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
json.dump(errors, open(sys.argv[2], 'w'))
'''


def module_name(file: str) -> str:
  """Returns the dotted name of a file below a root."""
  parts = Path(file).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def import_errors(
  root: Path, files: Iterable[str], libraries: Sequence[Path], stand_ins: Sequence[Path] = ()
) -> dict[str, str]:
  """Imports the modules below `root` in a fresh process; returns {file: error} of those that fail."""
  names = {module_name(file): file for file in files}
  paths = os.pathsep.join(str(path.resolve()) for path in (root, *libraries))
  added = {'PYTHONPATH': paths, 'JAX_PLATFORMS': 'cpu', 'PYTHONDONTWRITEBYTECODE': '1'}
  with tempfile.TemporaryDirectory(prefix='linen2nnx-imports-') as folder:
    result = Path(folder) / 'errors.json'
    command = [sys.executable, '-c', IMPORT_ALL, json.dumps(list(names)), str(result), json.dumps(list(map(str, stand_ins)))]
    try:
      done = subprocess.run(command, cwd=folder, env={**os.environ, **added}, capture_output=True, text=True,
                            timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
      return dict.fromkeys(names.values(), f'did not end within {SECONDS} s')
    if not result.exists():
      lines = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
      return dict.fromkeys(names.values(), lines[-1])
    errors = json.loads(result.read_text(encoding='utf-8'))
  return {names[name]: error for name, error in errors.items()}


def no_longer_import(
  before: Path, after: Path, files: Sequence[str], libraries: Sequence[Path]
) -> tuple[dict[str, str], int]:
  """Returns ({file: error} of modules that imported only before, number that imported before)."""
  with tempfile.TemporaryDirectory(prefix='linen2nnx-stand-ins-') as folder:
    for name in absent_libraries(before, libraries):
      stand_in(Path(folder), name, callable_too=True)
    there = [file for file in files if (before / file).exists()]
    failed = import_errors(before, there, libraries, [Path(folder)])
    importable = [file for file in there if file not in failed]
    _link_data(before, after)
    return import_errors(after, importable, libraries, [Path(folder)]), len(importable)


def _link_data(before: Path, after: Path) -> None:
  """Modules read files beside them when they are imported; a copy of the sources has no others."""
  for file in before.rglob('*'):
    place = after / file.relative_to(before)
    if file.is_file() and file.suffix not in ('.py', '.pyc') and not place.exists():
      place.parent.mkdir(parents=True, exist_ok=True)
      place.symlink_to(file.resolve())


def absent_libraries(root: Path, libraries: Sequence[Path]) -> list[str]:
  """Returns the dotted names that files below `root` import from libraries that are not there."""
  found: set[str] = set()
  for file in root.rglob('*.py'):
    try:
      tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
      continue
    for node in ast.walk(tree):
      if isinstance(node, ast.Import):
        found |= {alias.name for alias in node.names}
      elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        found.add(node.module)
  own = {path.stem for path in root.iterdir()} | {path.name for folder in libraries for path in folder.iterdir()}
  absent = {name: importlib.util.find_spec(name) is None for name in {text.split('.')[0] for text in found} - own}
  return sorted(name for name in found if absent.get(name.split('.')[0]))
