"""Every program with train flags in `--mode module`: equal to Linen in every case, and reviewed results."""

from __future__ import annotations

import pytest

from tests.end_to_end.programs import all_programs, apply, changed_files, lay_out, migrated

FLAGGED = tuple(program for program in all_programs() if program.has_flags)
# Computed beside the proofs: flags that decide branches, several flags, flags that are fields, statistics.
COMPUTED = frozenset({'flag_paths', 'rng_noise', 'merge_flags', 'batch_stats_variable'})


@pytest.fixture(scope='module')
def in_module_mode(tmp_path_factory):
  """All programs with flags as one tree: (before, result, after)."""
  folder = tmp_path_factory.mktemp('modes')
  before = lay_out(FLAGGED, folder / 'before')
  result = migrated(before, mode='module')
  return before, result, apply(result, before, folder / 'after')


# One test, so that one process migrates the programs and runs the workers.
def test_every_case_is_equal(in_module_mode, request):
  from migrator.equivalence import Case, Checker

  before, result, after = in_module_mode
  everything = request.config.getoption('--every-number', default=False)
  wrong = {}
  with Checker(result.manifest, before, after) as checker:
    for program in FLAGGED:
      for table in (*program.cases, *program.module_cases):
        if table['model'] in program.expect:
          continue
        case = Case(**{**table, 'name': f'{program.name}: {table["name"]}'})
        found = checker.check(case, numbers=everything or program.name in COMPUTED)
        wanted = {mode for mode in ('eval', 'train') if getattr(case, mode) is not None}
        shown = {proof.mode for proof in found.proofs if proof.verdict.is_equal}
        if found.exit_code or wanted - shown:
          bad = [proof for proof in found.proofs if not proof.verdict.is_equal]
          wrong[case.name] = found.failure or bad or [part for part in found.parts if not part.passed]
  assert not wrong


def test_the_same_classes_become_nnx(in_module_mode, migration):
  _, result, _ = in_module_mode
  outcomes = {report.name: report.outcome in ('native', 'helper') for report in result.classes}
  for program in FLAGGED:
    _, argument = migration(program)
    for report in argument.classes:
      assert outcomes[report.name] == (report.outcome in ('native', 'helper')), report.name
  assert not result.errors


def test_a_second_run_edits_nothing_and_comments_survive(in_module_mode):
  from tests.laws.test_laws import comments

  _, result, after = in_module_mode
  assert not migrated(after, mode='module').files
  for change in result.files:
    assert not change.before or not comments(change.before) - comments(change.after), change.path.name


def test_the_order_of_files_does_not_matter(in_module_mode):
  before, result, _ = in_module_mode
  again = migrated(before, sorted(before.iterdir(), reverse=True), mode='module')
  assert changed_files(again, before) == changed_files(result, before)


def test_no_flag_is_left_where_every_call_follows_the_mode(in_module_mode):
  """What stays an argument has a reason."""
  import ast

  root, result, _ = in_module_mode
  stays = {report.name.rpartition(':')[2] for report in result.classes if report.outcome not in ('native', 'helper')}
  told = {(finding.file, finding.message.split(':')[0], finding.message.split()[1]) for finding in result.findings
          if 'stays an argument' in finding.message or 'stays a field' in finding.message}
  unexplained = []
  for change in result.files:
    file = change.path.relative_to(root).as_posix()
    for node in ast.walk(ast.parse(change.after)):
      for method in node.body if isinstance(node, ast.ClassDef) and node.name not in stays else ():
        if isinstance(method, ast.FunctionDef):
          names = {item.arg for item in (*method.args.args, *method.args.kwonlyargs)}
          unexplained += [(file, node.name, name) for name in names & {'train', 'training', 'deterministic'}
                          if (file, node.name, name) not in told]
  assert not unexplained


@pytest.mark.parametrize('program', [program for program in FLAGGED if program.in_module_mode.is_file()],
                         ids=lambda program: program.name)
def test_result_is_the_reviewed_one(program, tmp_path, request):
  root = lay_out([program], tmp_path)
  text = changed_files(migrated(root, mode='module'), root)[f'{program.name}.py']
  if request.config.getoption('--update-golden', default=False):
    program.in_module_mode.write_bytes(text)
  assert text.decode() == program.in_module_mode.read_bytes().decode()


def test_programs_without_flags_come_out_the_same(migration, tmp_path):
  for name in ('cnn_flatten', 'nested_loops'):
    program = next(program for program in all_programs() if program.name == name)
    root, argument = migration(program)
    again = changed_files(migrated(lay_out([program], tmp_path / name), mode='module'), tmp_path / name)
    assert again == changed_files(argument, root)
