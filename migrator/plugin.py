"""The pytest plugin: `pytest --linen-base REV [FILE...]` runs the cases of `check` as tests.

It is imported by every pytest run of every user, so nothing heavy is imported here.
"""
from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
  from migrator.equivalence import Case, CaseResult, Checker

DEFAULT_CASES = 'pyproject.toml'


def pytest_addoption(parser: pytest.Parser) -> None:
  group = parser.getgroup('linen2nnx', 'equality of Linen and NNX models')
  group.addoption('--linen-base', '--linen2nnx-base', dest='linen2nnx_base', metavar='REV',
                  help='run the cases of `linen2nnx check` as tests, with the Linen source of this git revision; cases '
                  'are those of the case files among the arguments, or of pyproject.toml')
  group.addoption('--linen2nnx', nargs='?', const=DEFAULT_CASES, metavar='FILE',
                  help='run the cases of FILE (TOML or Python; default: pyproject.toml)')
  group.addoption('--linen2nnx-linen-root', metavar='DIR', help='folder of the Linen source, instead of a revision')
  group.addoption('--linen2nnx-nnx-root', metavar='DIR', help='folder of the NNX source; default: here')
  group.addoption('--linen2nnx-manifest', metavar='FILE', help='what `linen2nnx migrate` wrote')


FILES = pytest.StashKey[tuple[Path, ...]]()


def pytest_configure(config: pytest.Config) -> None:
  config.stash[FILES] = ()
  chosen = config.getoption('--linen2nnx')
  if chosen is None and not config.getoption('linen2nnx_base'):
    return
  given = [] if chosen else [file for argument in config.args if _holds_cases(file := _path(config, argument))]
  files = given or [_path(config, chosen or DEFAULT_CASES)]
  config.stash[FILES] = tuple(files)
  # Collected like files given on the command line, whatever the test paths are.
  config.args = [*(argument for argument in config.args if _path(config, argument) not in files), *map(str, files)]
  config.pluginmanager.register(Session(config), 'linen2nnx-session')


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
  if file_path not in parent.config.stash[FILES]:
    return None
  collector: pytest.Collector = CaseFile.from_parent(parent, path=file_path)
  return collector


def _holds_cases(file: Path) -> bool:
  """Tells whether an argument of pytest is a case file: TOML, or Python that assigns CASES."""
  if file.suffix != '.py':
    return file.suffix == '.toml' and file.is_file()
  try:
    body = ast.parse(file.read_bytes()).body
  except (OSError, SyntaxError, ValueError):
    return False
  targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
  targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
  return any(isinstance(target, ast.Name) and target.id == 'CASES' for target in targets)


class Session:
  """Owns the two worker processes and the git work tree; all case files share them."""

  def __init__(self, config: pytest.Config):
    self._config, self._stack = config, contextlib.ExitStack()
    self._checker: Checker | None = None

  def checker(self) -> Checker:
    """Returns the checker; it starts with the first case."""
    if self._checker is None:
      self._checker = _checker(self._config, self._stack)
    return self._checker

  def pytest_unconfigure(self) -> None:
    self._stack.close()


class CaseFile(pytest.File):
  """A file with cases."""

  def collect(self) -> Iterator[pytest.Item]:
    from migrator.equivalence.case_files import read_cases
    from migrator.failure import Failure

    try:
      cases = read_cases(self.path)
    except Failure as error:
      raise self.CollectError(str(error)) from None
    for case in cases:
      yield CaseItem.from_parent(self, name=case.name, case=case)


class CaseItem(pytest.Item):
  """One case as a test."""

  def __init__(self, *, case: Case, **given: Any):
    super().__init__(**given)
    self._case = case

  def runtest(self) -> None:
    from migrator.failure import Failure

    session: Any = self.config.pluginmanager.get_plugin('linen2nnx-session')
    try:
      checker = session.checker()
    except Failure as error:
      raise Unequal(str(error)) from None
    result = checker.check(self._case)
    text = _text(result)
    # For JUnit and for -rA: what passed tells how equal it is.
    self.user_properties += [(f'{proof.mode} (proof)', str(proof.verdict)) for proof in result.proofs]
    self.user_properties += [(part.name, part.verdict) for part in result.parts]
    self.add_report_section('call', 'linen2nnx', text)
    if result.exit_code:
      raise Unequal(text)

  def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
    return str(excinfo.value) if isinstance(excinfo.value, Unequal) else super().repr_failure(excinfo, style)

  def reportinfo(self) -> tuple[Path, None, str]:
    return self.path, None, f'case {self.name}'


class Unequal(Exception):
  """The two sides of a case differ, or could not be compared."""


def _checker(config: pytest.Config, stack: contextlib.ExitStack) -> Checker:
  """Returns a checker of the roots the options say; the stack closes it, then removes the git work tree."""
  from migrator.config import read_settings
  from migrator.equivalence import Checker
  from migrator.equivalence.base import revision
  from migrator.equivalence.run import read_manifest
  from migrator.failure import Failure
  from migrator.roots import holding

  linen, base = config.getoption('--linen2nnx-linen-root'), config.getoption('linen2nnx_base')
  if (linen is None) == (base is None):
    raise Failure('give --linen-base REV or --linen2nnx-linen-root DIR, to say where the Linen source is')
  file = config.getoption('--linen2nnx-manifest') or read_settings(config.rootpath).manifest
  manifest = read_manifest(_path(config, file))
  files = [entry.file for entry in manifest.classes.values()]
  nnx_root = _path(config, config.getoption('--linen2nnx-nnx-root') or holding(config.rootpath, files))
  linen_root = stack.enter_context(revision(nnx_root, base)) if base else _path(config, linen)
  return stack.enter_context(Checker(manifest, linen_root, nnx_root))


def _path(config: pytest.Config, name: str | Path) -> Path:
  return (config.invocation_params.dir / name).resolve()


def _text(result: CaseResult) -> str:
  from migrator.equivalence.verdicts import CheckReport
  from migrator.report.check.text import case_lines

  return '\n'.join(case_lines(CheckReport((result,)).to_document()['cases'][0]))
