"""Running the equivalence cases of one package in a process of its own, with the libraries they need."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus.packages import CorpusError, Package

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = Path(__file__).with_name('cases')


def cases_file(package: Package) -> Path:
  """Returns where the cases of a package are; not every package has some."""
  return CASES / f'{package.name}.toml'


def compare_package(package: Package, source: Path, cache: Path, timeout: float,
                    module: str = 'benchmarks.corpus.equivalence', words: Sequence[str] = ()) -> dict[str, Any]:
  """Migrates the models of the package's cases and compares them; returns what was seen.

  module, words: what does it in a process of its own, and what else it is told.

  Raises:
    CorpusError: a library cannot be had, or the run failed.
  """
  libraries = [fetch_library(requirement, cache / 'libraries') for requirement in package.needs]
  with tempfile.TemporaryDirectory(prefix='linen2nnx-equivalence-') as name:
    folder, result = Path(name) / 'roots', Path(name) / 'result.json'
    command = [sys.executable, '-m', module, str(source), str(cases_file(package)), str(folder), str(result), *words]
    paths = os.pathsep.join(map(str, [*libraries, folder / 'stand-ins']))
    added = {'PYTHONPATH': paths, 'JAX_PLATFORMS': 'cpu', 'PYTHONDONTWRITEBYTECODE': '1'}
    try:
      done = subprocess.run(command, cwd=ROOT, env={**os.environ, **added}, stderr=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
      raise CorpusError(f'the comparison did not end within {timeout:.0f} s') from error
    if done.returncode != 0:
      sys.stderr.write(done.stderr)
      raise CorpusError(f'the comparison failed: {(done.stderr.strip().splitlines() or ["no message"])[-1]}')
    seen: dict[str, Any] = json.loads(result.read_text(encoding='utf-8'))
    return seen


def fetch_library(requirement: str, cache: Path) -> Path:
  """Returns the folder of one pinned library, 'name==version', installing it there when it is not.

  Raises:
    CorpusError: pip could not install it.
  """
  folder = cache / requirement.replace('==', '-')
  if folder.is_dir():
    return folder
  cache.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='.fetch-', dir=cache) as name:
    place = Path(name) / 'library'
    # Wheels only and without dependencies: nothing of the library runs, and nothing hides flax, jax or numpy.
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps',
               '--only-binary=:all:', '--target', str(place), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
      last = (done.stderr.strip().splitlines() or ['no message'])[-1]
      raise CorpusError(f'{requirement}: not installed: {last}')
    place.rename(folder)
  return folder
