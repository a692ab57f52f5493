"""Which file an import means: module names to files, without parsing any."""
from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from migrator.report.findings import Finding
from migrator.source.files import SKIPPED_FOLDERS, SourceFile, package_prefix, source_file

# Taken for a module of the project only when it lies exactly there.
_WELL_KNOWN = frozenset(sys.stdlib_module_names) | {
  'chex', 'clu', 'distrax', 'einops', 'haiku', 'jaxtyping', 'ml_collections', 'numpy', 'optax', 'orbax',
  'pytest', 'scipy', 'tensorflow', 'torch', 'tqdm', 'transformers', 'typing_extensions'}
# These always mean the libraries, even in the libraries' own repositories.
_NEVER_PROJECT = frozenset({'flax', 'jax', 'jaxlib'})


class FileIndex:
  """The files of a project by module name; files outside the given paths are found on disk when imported."""

  def __init__(self, files: Iterable[SourceFile], root: Path):
    self.root = root
    self.files: dict[str, SourceFile] = {}
    self.errors: list[Finding] = []
    self._looked_for: set[str] = set()  # Names already looked for on disk.
    self._prefix = package_prefix(root)
    self._found: dict[tuple[str, str | None], str | None] = {}
    for file in files:
      self._add(file)
    # The answer must not depend on what was looked up before, so guesses only use these.
    self._given = tuple(sorted(self.files))
    self._folders = {name[:end] for name in self._given for end, letter in enumerate(name) if letter == '.'}

  def find(self, name: str, package: str | None = None) -> str | None:
    """Returns the project's name for the module imported as `name`.

    Args:
      name: absolute dotted name.
      package: package of the importing module; given, a name that is not found as it stands is looked for
        beside the importer's outermost package (scripts that import their neighbours), then below any folder
        that is no package (src layouts) if exactly one fits.
    """
    start = None if package is None else self._import_root(package)
    key = (name, start)
    if key not in self._found:
      self._found[key] = self._find(name, start)
    return self._found[key]

  def file(self, name: str) -> SourceFile | None:
    """Returns the file of the module called `name`, or None."""
    if name not in self.files and name.partition('.')[0] not in _NEVER_PROJECT:
      self._on_disk(name)
    return self.files.get(name)

  def _find(self, name: str, start: str | None) -> str | None:
    top = name.partition('.')[0]
    if top in _NEVER_PROJECT:
      return None
    if self._exists(name):
      return name
    if start is None or top in _WELL_KNOWN:
      return None
    if start and self._exists(f'{start}.{name}'):
      return f'{start}.{name}'
    fitting = [given for given in self._given if given.endswith(f'.{name}')
               and not self._is_package(given.removesuffix(f'.{name}'))]
    return fitting[0] if len(fitting) == 1 else None

  def _import_root(self, package: str) -> str:
    """The dotted folder that holds the outermost package around `package`."""
    while package and self._is_package(package):
      package = package.rpartition('.')[0]
    return package

  def _is_package(self, name: str) -> bool:
    file = self.file(name)
    return file is not None and file.is_package

  def _exists(self, name: str) -> bool:
    return self.file(name) is not None or name in self._folders

  def _on_disk(self, name: str) -> None:
    """Adds the file of the module `name` if there is one below the root."""
    if name in self._looked_for:
      return
    self._looked_for.add(name)
    parts = tuple(name.split('.'))
    inside = parts[len(self._prefix):]
    if parts[:len(self._prefix)] != self._prefix or not inside or not SKIPPED_FOLDERS.isdisjoint(parts):
      return
    place = self.root.joinpath(*inside)
    for path in (place / '__init__.py', place.with_name(f'{place.name}.py')):
      if path.is_file():
        self._add(source_file(path, self.root, selected=False, listed=False))
        return

  def _add(self, file: SourceFile) -> None:
    other = self.files.setdefault(file.name, file)
    if other is file:
      return
    # Python takes the package `a/__init__.py` where there is also a module `a.py`.
    kept, lost = (file, other) if file.is_package else (other, file)
    self.files[file.name] = kept
    self.errors.append(Finding(
      lost.relative, 0, 'hidden-module',
      f'{lost.relative} is hidden by {kept.relative}, which has the same module name; rename one.', 'error'))
