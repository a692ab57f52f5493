"""Finding and reading cases: [[tool.linen2nnx.cases]] in pyproject.toml, or CASES in a Python file."""
from __future__ import annotations

import runpy
import tomllib
from pathlib import Path
from typing import Any

from migrator.equivalence.cases import Case, CaseError, check_unique, from_json


def read_cases(file: Path) -> list[Case]:
  """Reads the cases of a file.

  Args:
    file: a pyproject.toml (whose `tool.linen2nnx.cases` may also name another file), another TOML
      file with `[[cases]]`, or a Python file with a list `CASES` of `Case` or dicts.

  Raises:
    CaseError: the file cannot be read, holds no cases, or one of them is wrong.
  """
  if not file.is_file():
    raise CaseError(f'{file}: no such file; give the file that holds the cases')
  entries = _from_python(file) if file.suffix == '.py' else _from_toml(file)
  if isinstance(entries, str):
    return read_cases(file.parent / entries)
  if not isinstance(entries, list | tuple) or not entries:
    raise CaseError(f'{file}: no cases; add [[tool.linen2nnx.cases]] or a Python file with a list CASES')
  cases = [entry if isinstance(entry, Case) else from_json(entry, f'{file.name}: case {number}')
           for number, entry in enumerate(entries, 1)]
  return check_unique(cases)


def _from_toml(file: Path) -> Any:
  try:
    document = tomllib.loads(file.read_text(encoding='utf-8'))
  except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
    raise CaseError(f'{file}: not readable as TOML ({error})') from error
  if file.name != 'pyproject.toml':
    return document.get('cases')
  tool = document.get('tool', {})
  table = tool.get('linen2nnx', {}) if isinstance(tool, dict) else {}
  return table.get('cases') if isinstance(table, dict) else None


def _from_python(file: Path) -> Any:
  # The user's own file; anything may go wrong in it, and every way is one line to the user.
  try:
    return runpy.run_path(str(file)).get('CASES')
  except CaseError:
    raise
  except Exception as error:
    raise CaseError(f'{file}: running it failed: {type(error).__name__}: {error}') from error
