"""Settings in the user's pyproject.toml, `[tool.linen2nnx]`; the command line wins over them."""
from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from migrator.failure import Failure

MANIFEST = 'linen2nnx-manifest.json'
CHOICES = {
  'mode': ('argument', 'module'),
  'names': ('idiomatic', 'linen'),
  'numerics': ('idiomatic', 'exact'),
}

LISTS = ('select', 'ignore')


@dataclasses.dataclass(frozen=True)
class Settings:
  """What `[tool.linen2nnx]` may say.

  mode: how train-mode flags are written; 'argument' keeps them as call arguments, with 'module' layers follow
    `model.train()` and `model.eval()`.
  names: 'idiomatic' member names (`linear1`) or 'linen' ones (`Dense_0`).
  numerics: 'idiomatic' NNX layers, or 'exact' with helpers where NNX rounds in another order.
  jobs: processes used to migrate.
  select, ignore: classes and codes of findings, as the options of the same names.
  manifest: file of the manifest, relative to the project's folder.
  cases: what `check` runs: a list of tables, or the name of a file; None when there are none here.
  """

  mode: str = 'argument'
  names: str = 'idiomatic'
  numerics: str = 'idiomatic'
  jobs: int = 1
  select: tuple[str, ...] = ()
  ignore: tuple[str, ...] = ()
  manifest: str = MANIFEST
  cases: list[Any] | str | None = None


def read_settings(project: Path) -> Settings:
  """Reads `[tool.linen2nnx]` of `project/pyproject.toml`; the defaults when there is none.

  Raises:
    Failure: the file is no TOML, or a setting is unknown or has a wrong value.
  """
  file = project / 'pyproject.toml'
  if not file.is_file():
    return Settings()
  try:
    document = tomllib.loads(file.read_text(encoding='utf-8'))
  except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
    raise Failure(f'{file}: not readable as TOML ({error}); mend it, then run again') from error
  tool = document.get('tool', {})
  table = tool.get('linen2nnx', {}) if isinstance(tool, dict) else {}
  if not isinstance(table, dict):
    raise Failure(f'{file}: tool.linen2nnx must be a table, [tool.linen2nnx]')
  for key, value in table.items():
    _check(file, key, value)
  lists = {key: tuple(value) for key, value in table.items() if key in LISTS}
  return Settings(**{**table, **lists})


def _check(file: Path, key: str, value: Any) -> None:
  known = {field.name for field in dataclasses.fields(Settings)}
  where = f'{file}: [tool.linen2nnx] {key}'
  if key not in known:
    raise Failure(f'{where} is no setting; known are {", ".join(sorted(known))}')
  if key in CHOICES and value not in CHOICES[key]:
    raise Failure(f'{where} = {value!r}; choose one of {", ".join(CHOICES[key])}')
  if key == 'jobs' and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
    raise Failure(f'{where} = {value!r}; give a whole number of at least 1')
  if key in LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
    raise Failure(f'{where} = {value!r}; give a list of texts, such as ["zoo.vit:*", "assumption"]')
  if key == 'manifest' and not isinstance(value, str):
    raise Failure(f'{where} = {value!r}; give a file name as text')
  if key == 'cases' and not isinstance(value, str | list):
    raise Failure(f'{where} = {value!r}; give [[tool.linen2nnx.cases]] tables, or a file name as text')
