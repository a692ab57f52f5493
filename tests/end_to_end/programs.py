"""The fixture programs: where they are, laying them out as a source tree, migrating them, their goldens.

A program `fixtures/programs/<name>/linen.py` is the module `<name>`; a folder `linen/` in its place is the
package `<name>`.  What the migration makes of it is kept as `nnx.py` or `nnx/`; files made beside the module
(helpers) are kept in `nnx_beside/`.  `nnx_module.py` is the result of `--mode module`, kept for some.
"""
from __future__ import annotations

import dataclasses
import functools
import re
import runpy
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / 'fixtures' / 'programs'
NATIVE = ('native', 'helper')
# What a program's EXPECT may say of a class, and the outcomes that satisfy it.
_FLAG = re.compile(r'\b(train|training|is_training|deterministic|use_running_average)\b')
OUTCOMES = {'native': NATIVE, 'bridged': ('bridged', 'left'), 'any': (*NATIVE, 'bridged', 'left')}


@dataclasses.dataclass(frozen=True)
class Program:
  """One fixture program.

  cases: tables as `migrator.equivalence` reads them; module_cases: further ones for `--mode module`.
  expect: class name -> 'native', 'bridged' or 'any'; classes that are not named must become native.
  """

  name: str
  folder: Path
  cases: tuple[Mapping[str, Any], ...]
  expect: Mapping[str, str]
  module_cases: tuple[Mapping[str, Any], ...] = ()

  def sources(self) -> dict[str, bytes]:
    """Returns the program's files by their place in a source tree."""
    if (self.folder / 'linen.py').is_file():
      return {f'{self.name}.py': (self.folder / 'linen.py').read_bytes()}
    return {f'{self.name}/{name}': data for name, data in _files(self.folder / 'linen').items()}

  def golden(self) -> dict[str, bytes]:
    """Returns the reviewed result, by place in a source tree; empty when there is none yet."""
    found = {f'{self.name}/{name}': data for name, data in _files(self.folder / 'nnx').items()}
    found.update(_files(self.folder / 'nnx_beside'))
    if (self.folder / 'nnx.py').is_file():
      found[f'{self.name}.py'] = (self.folder / 'nnx.py').read_bytes()
    return found

  @property
  def has_flags(self) -> bool:
    """Tells whether the source has a train flag, so that `--mode module` may make something else of it."""
    return any(_FLAG.search(data.decode()) for data in self.sources().values())

  @property
  def in_module_mode(self) -> Path:
    """Where the reviewed result of `--mode module` lies, if there is one."""
    return self.folder / 'nnx_module.py'

  def update_golden(self, result: Mapping[str, bytes]) -> None:
    """Replaces the reviewed result."""
    for folder in ('nnx', 'nnx_beside'):
      shutil.rmtree(self.folder / folder, ignore_errors=True)
    (self.folder / 'nnx.py').unlink(missing_ok=True)
    for name, data in result.items():
      target = self._golden_file(name)
      target.parent.mkdir(parents=True, exist_ok=True)
      target.write_bytes(data)

  def _golden_file(self, name: str) -> Path:
    if name == f'{self.name}.py':
      return self.folder / 'nnx.py'
    if name.startswith(f'{self.name}/'):
      return self.folder / 'nnx' / name.removeprefix(f'{self.name}/')
    return self.folder / 'nnx_beside' / name

  def accepts(self, class_name: str, outcome: str) -> bool:
    """Tells whether an outcome of a class is what the program expects."""
    return outcome in OUTCOMES[self.expect.get(class_name, 'native')]


def _files(folder: Path) -> dict[str, bytes]:
  files = sorted(path for path in folder.rglob('*.py')) if folder.is_dir() else []
  return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@functools.cache
def all_programs() -> tuple[Program, ...]:
  """Returns every program, by name."""
  return tuple(_read(folder) for folder in sorted(FOLDER.iterdir()) if (folder / 'cases.py').is_file())


def _read(folder: Path) -> Program:
  names = runpy.run_path(str(folder / 'cases.py'))
  return Program(folder.name, folder, tuple(names['CASES']), names.get('EXPECT', {}), tuple(names.get('MODULE_CASES', ())))


def lay_out(programs: Iterable[Program], root: Path) -> Path:
  """Writes the programs into one source tree and returns its root."""
  for program in programs:
    write_tree(root, program.sources())
  return root


def write_tree(root: Path, files: Mapping[str, bytes]) -> None:
  """Writes files by their place under the root."""
  for name, data in files.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)


def migrated(root: Path, paths: list[Path] | None = None, **options: Any) -> Any:
  """Returns the `MigrationResult` of a source tree; nothing is written."""
  from migrator.codemod import Options, migrate
  return migrate(paths or [root], root, Options(**options))


def changed_files(result: Any, root: Path) -> dict[str, bytes]:
  """Returns the texts a result changes or adds, by place under the root."""
  return {change.path.relative_to(root).as_posix(): change.after.encode() for change in result.files}


def apply(result: Any, root: Path, target: Path) -> Path:
  """Writes a migrated copy of the tree and returns it."""
  shutil.copytree(root, target, ignore=shutil.ignore_patterns('__pycache__'))
  write_tree(target, changed_files(result, root))
  return target
