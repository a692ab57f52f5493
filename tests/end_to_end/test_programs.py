"""Every fixture program: what becomes of its classes, that the result is the reviewed one and loads."""
from __future__ import annotations

import ast
import importlib
import sys
import traceback

import pytest

from tests.end_to_end.programs import all_programs, apply, changed_files

every_program = pytest.mark.parametrize('program', all_programs(), ids=lambda program: program.name)


@every_program
def test_cases_name_classes_of_the_program(program):
  from migrator.equivalence.case_files import read_cases

  classes = set()
  for data in program.sources().values():
    classes |= {node.name for node in ast.walk(ast.parse(data)) if isinstance(node, ast.ClassDef)}
  for case in read_cases(program.folder / 'cases.py'):
    module, _, name = case.model.partition(':')
    assert module.split('.')[0] == program.name
    assert name in classes
  assert {name.rpartition(':')[2].rpartition('.')[2] for name in program.expect} <= classes


@every_program
def test_classes_come_out_as_expected(program, migration):
  _, result = migration(program)
  assert not result.errors
  outcomes = {report.name: report.outcome for report in result.classes}
  assert outcomes, 'no Linen class was found'
  assert set(program.expect) <= set(outcomes)
  wrong = {report.name: (report.outcome, report.reasons) for report in result.classes
           if not program.accepts(report.name, report.outcome)}
  assert not wrong


@every_program
def test_what_stays_linen_has_a_reason_at_a_line(program, migration):
  _, result = migration(program)
  for report in result.classes:
    if report.outcome in ('bridged', 'left'):
      assert report.reasons, f'{report.name} stays Linen and no reason is given'
      at_its_place = [finding for finding in result.findings
                      if finding.file == report.file and finding.line >= report.line]
      assert at_its_place, f'{report.name} stays Linen and no finding points at a line'


def test_most_results_are_reviewed():
  programs = all_programs()
  assert 2 * sum(bool(program.golden()) for program in programs) > len(programs)


@every_program
def test_result_is_the_reviewed_one(program, migration, request):
  root, result = migration(program)
  after = changed_files(result, root)
  if request.config.getoption('--update-golden', default=False):
    program.update_golden(after)
  golden = program.golden()
  if not golden:
    pytest.skip('not reviewed yet: make it with `pytest tests/end_to_end --update-golden`, and read it')
  assert set(after) == set(golden)
  for name in sorted(after):
    assert after[name].decode() == golden[name].decode()


@every_program
def test_result_compiles(program, migration):
  root, result = migration(program)
  for name, data in changed_files(result, root).items():
    compile(data, name, 'exec', dont_inherit=True)


@every_program
def test_result_imports(program, migration, tmp_path):
  root, result = migration(program)
  assert not _import_in_process(apply(result, root, tmp_path / 'after'), program.name)


def _import_in_process(root, name):
  before = set(sys.modules)
  sys.path.insert(0, str(root))
  try:
    importlib.import_module(name)
  except Exception:
    return traceback.format_exc(limit=-2)
  finally:
    sys.path.remove(str(root))
    importlib.invalidate_caches()
    # Programs may bring helper files of one name; each must be imported anew.
    for module in set(sys.modules) - before:
      if str(getattr(sys.modules[module], '__file__', None) or '').startswith(str(root)):
        del sys.modules[module]
  return ''
