"""The pytest plugin: `pytest --linen2nnx [FILE] --linen2nnx-base REV` runs the cases of `check` as tests.

It is imported by every pytest run of every user, so nothing heavy is imported here.
"""
from __future__ import annotations

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
  group.addoption('--linen2nnx', nargs='?', const=DEFAULT_CASES, metavar='FILE',
                  help='run the cases of FILE (TOML or Python; default: pyproject.toml)')
  group.addoption('--linen2nnx-linen-root', metavar='DIR', help='folder of the Linen source')
  group.addoption('--linen2nnx-nnx-root', metavar='DIR', help='folder of the NNX source; default: here')
  group.addoption('--linen2nnx-base', metavar='REV', help='git revision with the Linen source')
  group.addoption('--linen2nnx-manifest', metavar='FILE', help='what `linen2nnx migrate` wrote')


def pytest_configure(config: pytest.Config) -> None:
  chosen = config.getoption('--linen2nnx')
  if chosen is not None:
    file = str(_path(config, chosen))
    # Collected like a file given on the command line, whatever the test paths are.
    config.args = [*(argument for argument in config.args if argument != file), file]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
  chosen = parent.config.getoption('--linen2nnx')
  if chosen is None or file_path != _path(parent.config, chosen):
    return None
  collector: pytest.Collector = CaseFile.from_parent(parent, path=file_path)
  return collector


class CaseFile(pytest.File):
  """The file with the cases; it owns the two worker processes while its tests run."""

  checker: Checker | None = None

  def collect(self) -> Iterator[pytest.Item]:
    from migrator.equivalence.case_files import read_cases
    from migrator.failure import Failure

    try:
      cases = read_cases(self.path)
    except Failure as error:
      raise self.CollectError(str(error)) from None
    for case in cases:
      yield CaseItem.from_parent(self, name=case.name, case=case)

  def setup(self) -> None:
    from migrator.failure import Failure

    stack = contextlib.ExitStack()
    self.addfinalizer(stack.close)
    try:
      self.checker = _checker(self.config, stack)
    except Failure as error:
      pytest.fail(str(error), pytrace=False)


class CaseItem(pytest.Item):
  """One case as a test."""

  def __init__(self, *, case: Case, **given: Any):
    super().__init__(**given)
    self._case = case

  def runtest(self) -> None:
    assert isinstance(self.parent, CaseFile) and self.parent.checker is not None
    result = self.parent.checker.check(self._case)
    if result.exit_code:
      raise Unequal(_text(result))

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

  linen, base = config.getoption('--linen2nnx-linen-root'), config.getoption('--linen2nnx-base')
  if (linen is None) == (base is None):
    raise Failure('give --linen2nnx-base REV or --linen2nnx-linen-root DIR, to say where the Linen source is')
  nnx_root = _path(config, config.getoption('--linen2nnx-nnx-root') or '.')
  linen_root = stack.enter_context(revision(nnx_root, base)) if base else _path(config, linen)
  file = config.getoption('--linen2nnx-manifest') or read_settings(config.rootpath).manifest
  return stack.enter_context(Checker(read_manifest(_path(config, file)), linen_root, nnx_root))


def _path(config: pytest.Config, name: str) -> Path:
  return (config.invocation_params.dir / name).resolve()


def _text(result: CaseResult) -> str:
  lines = [result.failure] if result.failure else []
  for part in result.parts:
    lines.append(f'{part.verdict:<12}  {part.name:<26}  {part.reason}'.rstrip())
    lines += [f'    {leaf.path}: {leaf.kind}: {leaf.detail}' for leaf in part.worst]
    lines += [f'    note: {note}' for note in part.notes]
  return '\n'.join(lines)
