"""Finding the Python files of a repository and reading them; what cannot be read becomes a finding."""
from __future__ import annotations

import ast
import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from migrator.report.findings import Finding
from migrator.source.notebooks import Notebook, NotebookError, is_notebook

SKIPPED_FOLDERS = frozenset({'build', 'node_modules', 'site-packages', '__pycache__', 'venv'})
_STAR = re.compile(rb'from\s+([.\w]+)\s+import\s+\(?\s*\*')
_IMPORT = re.compile(rb'^[ \t]*(?:from|import)[ \t]+(\.*)(\w*(?:\.\w+)*)', re.MULTILINE)
_WORD = re.compile(rb'[A-Za-z_]\w*')


@dataclasses.dataclass(eq=False)
class SourceFile:
  """One Python file on disk, not parsed yet.

  path: absolute path; relative: posix path below the root; name: dotted module name;
  selected: among the paths the user gave (others are only read to follow imports and for what uses the selected).
  listed: found by looking through folders, not by following an import.
  """

  path: Path
  relative: str
  name: str
  selected: bool = True
  listed: bool = True

  @functools.cached_property
  def data(self) -> bytes:
    """The bytes on disk; none when the file has a `problem`."""
    return self._content[0]

  def take(self, text: str) -> None:
    """Puts a text in the place of what is on disk."""
    self._content = text.encode(), None

  @property
  def problem(self) -> str | None:
    """Why the file cannot be opened, or None."""
    return self._content[1]

  @functools.cached_property
  def _content(self) -> tuple[bytes, str | None]:
    if self.notebook is not None:
      return self.notebook.text.encode(), None
    try:
      return self.path.read_bytes(), None
    except OSError as error:
      return b'', error.strerror or str(error)

  @functools.cached_property
  def notebook(self) -> Notebook | None:
    """The notebook that the file is; None for a Python file, and for what cannot be read as a notebook."""
    if not is_notebook(self.path):
      return None
    try:
      return Notebook(self.path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, NotebookError):
      return None

  @functools.cached_property
  def words(self) -> frozenset[bytes]:
    """The names in the text."""
    return frozenset(_WORD.findall(self.data))

  def mentions(self, name: str) -> bool:
    """Whether the text holds the name as a word; the text is not taken apart for it."""
    word = name.encode()
    return word in self.data and re.search(rb'\b' + re.escape(word) + rb'\b', self.data) is not None

  @functools.cached_property
  def stars(self) -> tuple[bytes, ...]:
    """The modules the text star-imports, as written; a guess from the text alone."""
    return tuple(_STAR.findall(self.data))

  @functools.cached_property
  def parsed(self) -> Parsed | Finding:
    """The text and its tree, or why there is none."""
    return parse(self)

  @property
  def imports(self) -> list[tuple[bytes, bytes]]:
    """The modules the text imports as (dots, name); a guess from the text alone."""
    return _IMPORT.findall(self.data)

  @property
  def package(self) -> str:
    """The package that `from . import` means in this file."""
    return self.name if self.is_package else self.name.rpartition('.')[0]

  @property
  def is_package(self) -> bool:
    return self.path.name == '__init__.py'


@dataclasses.dataclass(frozen=True)
class Parsed:
  """The text and the tree of one file; newline is the one most lines end with."""

  text: str
  tree: ast.Module
  newline: str


def python_files(path: Path) -> Iterator[Path]:
  """Yields the Python files and notebooks in the folder `path`, sorted, without hidden and generated folders."""
  for folder, folders, files in os.walk(path):
    folders[:] = sorted(name for name in folders if not _skipped(Path(folder, name)))
    yield from (Path(folder, name) for name in sorted(files) if name.endswith(('.py', '.ipynb')))


def _skipped(folder: Path) -> bool:
  name = folder.name
  return name.startswith('.') or name in SKIPPED_FOLDERS or (folder / 'pyvenv.cfg').exists()


def find_files(paths: Sequence[Path], root: Path) -> tuple[list[SourceFile], list[Finding]]:
  """Finds the Python files in `paths`.

  Args:
    paths: files or folders below `root`.
    root: folder that module names are relative to.
  Returns:
    the files sorted by relative path, each once, and what could not be taken.
  """
  found: dict[str, SourceFile] = {}
  errors: list[Finding] = []
  for path in sorted({Path(os.path.abspath(path)) for path in paths}):
    problem = _problem(path, root)
    if problem is not None:
      errors.append(problem)
      continue
    for file in [path] if path.is_file() else python_files(path):
      source = source_file(file, root)
      found[source.relative] = source
  errors.extend(_unopened(source) for source in found.values() if source.problem)
  return [found[relative] for relative in sorted(found)], errors


def other_files(folders: Sequence[Path], root: Path, taken: Sequence[SourceFile]) -> list[SourceFile]:
  """Finds the Python files in `folders` that are not among `taken`: they may use what those define.

  A file outside of the root is named relative to its folder; it is left out where that is the name of another.
  """
  paths, names = {file.path for file in taken}, {file.name for file in taken}
  found: dict[str, SourceFile] = {}
  for folder in folders:
    for path in python_files(folder):
      if path in paths:
        continue
      file = source_file(path, root if path.is_relative_to(root) else folder, False)
      if not path.is_relative_to(root):
        file.relative = Path(os.path.relpath(path, root)).as_posix()
      if file.name not in names:
        names.add(file.name)
        found[file.relative] = file
  return [found[relative] for relative in sorted(found)]


def _problem(path: Path, root: Path) -> Finding | None:
  """Returns why `path` cannot be read, or None."""
  if not path.is_relative_to(root):
    return Finding(path.name, 0, 'outside-root', f'{path.name} is not below the root folder; '
                   'give a root that contains every path.', 'error')
  relative = path.relative_to(root).as_posix()
  if not path.exists():
    return Finding(relative, 0, 'missing-path', f'{relative} does not exist; correct the path.', 'error')
  if path.is_file() and path.suffix not in ('.py', '.ipynb'):
    problem = f'{relative} is no .py file and no notebook; give those, or folders.'
    return Finding(relative, 0, 'not-python', problem, 'error')
  return None


def source_file(path: Path, root: Path, selected: bool = True, listed: bool = True) -> SourceFile:
  """Names the file `path` below `root`: 'zoo/mlp.py' is 'zoo.mlp', 'zoo/__init__.py' is 'zoo', 'a.ipynb' 'a_ipynb'."""
  relative = path.relative_to(root)
  parts = [*package_prefix(root), *relative.with_suffix('').parts]
  if parts[-1] == '__init__':
    parts.pop()
  elif is_notebook(path):
    parts[-1] = f'{parts[-1]}_ipynb'  # No import means it.
  return SourceFile(path, relative.as_posix(), '.'.join(parts), selected, listed)


def package_prefix(root: Path) -> tuple[str, ...]:
  """Returns what module names start with: the root's own name if the root is itself a package."""
  return (root.name,) if (root / '__init__.py').exists() else ()


def parse(file: SourceFile) -> Parsed | Finding:
  """Reads and parses `file`; a file that cannot be read becomes a finding with its line."""
  if file.problem:
    return _unopened(file)
  if is_notebook(file.path) and file.notebook is None:
    return _unread(file, 0, 'syntax-error', 'is no notebook; correct it, or leave the file out')
  try:
    text = file.data.decode('utf-8')
    tree = ast.parse(text.removeprefix('\ufeff'))
  except UnicodeDecodeError as error:
    line = file.data.count(b'\n', 0, error.start) + 1
    return _unread(file, line, 'not-utf8', 'is not UTF-8; save the file as UTF-8 and run again')
  except SyntaxError as error:
    problem = f'does not parse: {error.msg}; correct it, or leave the file out'
    return _unread(file, error.lineno or 0, 'syntax-error', problem)
  except (RecursionError, MemoryError):
    return _unread(file, 0, 'too-deep', 'is nested too deeply to parse; split the long expression')
  except ValueError as error:
    return _unread(file, 0, 'syntax-error', f'does not parse: {error}; remove what is no text')
  return Parsed(text, tree, _newline(text))


def _unopened(file: SourceFile) -> Finding:
  return _unread(file, 0, 'unreadable-file', f'cannot be opened: {file.problem}; check its rights')


def _unread(file: SourceFile, line: int, code: str, problem: str) -> Finding:
  return Finding(file.relative, line, code, f'{file.relative} {problem}.', 'error')


def _newline(text: str) -> str:
  windows = text.count('\r\n')
  return '\r\n' if windows > text.count('\n') - windows else '\n'
