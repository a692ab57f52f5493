"""Which modules of a package imported before the migration and do not import after it."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 120


def import_error(root: Path, file: str) -> str | None:
  """Imports one module in a fresh process; returns the last line of its error, or None."""
  parts = Path(file).with_suffix('').parts
  module = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
  added = {'PYTHONPATH': str(root), 'JAX_PLATFORMS': 'cpu', 'PYTHONDONTWRITEBYTECODE': '1'}
  code = f'import importlib; importlib.import_module({module!r})'
  try:
    done = subprocess.run([sys.executable, '-c', code], cwd=root, env={**os.environ, **added},
                          capture_output=True, text=True, timeout=SECONDS, check=False)
  except subprocess.TimeoutExpired:
    return f'did not end within {SECONDS} s'
  lines = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
  return None if done.returncode == 0 else lines[-1]


def no_longer_import(before: Path, after: Path, files: list[str]) -> tuple[dict[str, str], int]:
  """Returns ({file: error} of modules that imported only before, number that imported before)."""
  importable = [file for file in files if (before / file).exists() and import_error(before, file) is None]
  errors = {file: import_error(after, file) for file in importable}
  return {file: error for file, error in errors.items() if error is not None}, len(importable)
