"""The pinned packages, and getting their sources: download, safe unpacking, a working copy."""
from __future__ import annotations

import dataclasses
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

TABLE = Path(__file__).with_name('packages.toml')
CACHE = Path(__file__).resolve().parent.parent.parent / '.cache' / 'corpus'
LARGEST = 1 << 30
IMPORTS_LINEN = re.compile(r'flax\.linen|from flax import[^\n]*\blinen\b')


class CorpusError(Exception):
  """A package cannot be had, or its archive is not to be trusted."""


@dataclasses.dataclass(frozen=True)
class Package:
  """One row of the table.  needs: pinned libraries that importing the models of its cases takes."""

  name: str
  version: str
  only_linen: bool = False
  needs: tuple[str, ...] = ()

  @property
  def folder(self) -> str:
    return f'{self.name}-{self.version}'


def read_table() -> list[Package]:
  """Returns the pinned packages in the table's order."""
  document = tomllib.loads(TABLE.read_text(encoding='utf-8'))
  return [Package(**{**row, 'needs': tuple(row.get('needs', ()))}) for row in document['package']]


def fetch(package: Package, cache: Path) -> Path:
  """Returns the folder of the unpacked sources, downloading the wheel when it is not there.

  Raises:
    CorpusError: the download failed, or the archive holds a name that leads outside.
  """
  folder = cache / package.folder
  if folder.is_dir():
    return folder
  with tempfile.TemporaryDirectory(prefix='.fetch-', dir=_made(cache)) as name:
    wheel = _download(package, Path(name))
    unpacked = Path(name) / 'unpacked'
    unpack(wheel, unpacked)
    os.rename(unpacked, folder)
  return folder


def unpack(archive: Path, folder: Path) -> None:
  """Unpacks a wheel; refuses links, absolute names, names with '..', and more than LARGEST bytes."""
  with zipfile.ZipFile(archive) as wheel:
    entries = wheel.infolist()
    for entry in entries:
      _refuse_unsafe(archive, entry)
    if sum(entry.file_size for entry in entries) > LARGEST:
      raise CorpusError(f'{archive.name}: unpacks to more than {LARGEST} bytes')
    wheel.extractall(folder, entries)


def copy_sources(source: Path, target: Path) -> None:
  """Copies the .py files of a tree."""
  for file in python_files(source):
    place = target / file.relative_to(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)


def python_files(folder: Path) -> list[Path]:
  """Returns all .py files below a folder, sorted."""
  return sorted(path for path in folder.rglob('*.py') if path.is_file())


def linen_files(folder: Path) -> list[Path]:
  """Returns the .py files whose text imports flax.linen."""
  return [file for file in python_files(folder)
          if IMPORTS_LINEN.search(file.read_text(encoding='utf-8', errors='replace'))]


def _made(folder: Path) -> Path:
  folder.mkdir(parents=True, exist_ok=True)
  return folder


def _download(package: Package, folder: Path) -> Path:
  # Wheels only: preparing a source archive would run code of the package.
  command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps',
             '--only-binary=:all:', '--ignore-requires-python', '--dest', str(folder),
             f'{package.name}=={package.version}']
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  wheels = list(folder.glob('*.whl'))
  if done.returncode != 0 or len(wheels) != 1:
    last = (done.stderr.strip().splitlines() or ['no wheel came'])[-1]
    raise CorpusError(f'{package.folder}: not downloaded: {last}')
  return wheels[0]


def _refuse_unsafe(archive: Path, entry: zipfile.ZipInfo) -> None:
  path = PurePosixPath(entry.filename.replace('\\', '/'))
  is_link = stat.S_ISLNK(entry.external_attr >> 16)
  if path.is_absolute() or '..' in path.parts or ':' in entry.filename or is_link:
    raise CorpusError(f'{archive.name}: the entry {entry.filename!r} leads outside or is a link')
