"""The laws every migration keeps, over all fixture programs as one source tree."""
from __future__ import annotations

import collections
import io
import random
import tokenize

import pytest

from tests.end_to_end.programs import all_programs, apply, changed_files, lay_out, migrated

PLAIN = b'# No layer here; flax and linen are only mentioned.\r\nx  =  1\n\n\n\ny = [1,2]   \n'


@pytest.fixture(scope='session')
def tree(tmp_path_factory):
  """All programs as one tree, its migration, and the migrated copy."""
  folder = tmp_path_factory.mktemp('laws')
  root = lay_out(all_programs(), folder / 'before')
  result = migrated(root)
  return root, result, apply(result, root, folder / 'after')


def linen_names(root):
  """Every use of a Linen name in a tree, as (file, line, name)."""
  from migrator.source import read_project

  project = read_project([root], root)
  return {(module.relative, use.line, use.name)
          for module in project.modules.values() for use in project.linen_uses(module)}


def comments(text):
  """The comments of a source text, each with how often it stands there; a mark for a linter goes with its line."""
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  found = (token.string.rstrip() for token in tokens if token.type == tokenize.COMMENT)
  return collections.Counter(text for text in found if not text.startswith('# noqa'))


def test_the_reader_sees_linen_in_every_program_before(tree):
  root, _, _ = tree
  seen = {file.split('/')[0].removesuffix('.py') for file, _, _ in linen_names(root)}
  assert seen == {program.name for program in all_programs()}


def test_l1_every_linen_name_left_is_in_a_file_with_a_reason(tree):
  _, result, after = tree
  left = linen_names(after)
  spoken_of = {finding.file for finding in result.findings if finding.level != 'note'}
  spoken_of |= {report.file for report in result.classes if report.reasons}
  assert {use for use in left if use[0] not in spoken_of} == set()


def test_l1_a_file_whose_classes_are_all_native_and_silent_has_no_linen_left(tree):
  _, result, after = tree
  spoken_of = {finding.file for finding in result.findings if finding.level != 'note'}
  outcomes = collections.defaultdict(set)
  for report in result.classes:
    outcomes[report.file].add(report.outcome)
  clean = {file for file, found in outcomes.items() if found <= {'native', 'helper'}} - spoken_of
  assert clean, 'no file came out clean'
  assert {use for use in linen_names(after) if use[0] in clean} == set()


def test_l2_a_second_run_edits_nothing(tree):
  _, _, after = tree
  again = migrated(after)
  assert changed_files(again, after) == {}


def test_l3_every_comment_survives(tree):
  _, result, _ = tree
  lost = {}
  for change in result.files:
    if change.before:
      missing = comments(change.before) - comments(change.after)
      if missing:
        lost[change.path.name] = dict(missing)
  assert lost == {}


def test_l3_line_endings_and_indentation_are_kept(tree):
  root, result, _ = tree
  after = changed_files(result, root)
  windows = after['crlf.py']
  assert windows.count(b'\n') == windows.count(b'\r\n')
  tabbed = [line for line in after['tabs.py'].decode().splitlines() if line.startswith((' ', '\t'))]
  assert tabbed and all(line.startswith('\t') for line in tabbed)


def test_l3_files_without_linen_are_not_touched(tree, tmp_path):
  root, result, after = tree
  linen_files = {report.file for report in result.classes}
  changed = set(changed_files(result, root))
  assert 'package_bases/constants.py' not in changed
  (tmp_path / 'plain.py').write_bytes(PLAIN)
  (tmp_path / 'net.py').write_bytes((root / 'compact_mlp.py').read_bytes())
  assert set(changed_files(migrated(tmp_path), tmp_path)) == {'net.py'}
  assert linen_files <= {path.relative_to(after).as_posix() for path in after.rglob('*.py')}


@pytest.mark.parametrize('seed', range(3))
def test_l6_file_order_does_not_matter(tree, seed):
  root, result, _ = tree
  files = sorted(root.rglob('*.py'))
  random.Random(seed).shuffle(files)
  shuffled = migrated(root, files)
  assert changed_files(shuffled, root) == changed_files(result, root)
  assert shuffled.manifest.to_json() == result.manifest.to_json()


def test_l6_the_number_of_processes_does_not_matter(tree):
  root, result, _ = tree
  spread = migrated(root, jobs=2)
  assert changed_files(spread, root) == changed_files(result, root)
  assert spread.manifest.to_json() == result.manifest.to_json()


@pytest.mark.parametrize('program', all_programs(), ids=lambda program: program.name)
def test_l6_a_program_alone_comes_out_as_among_others(tree, program, tmp_path):
  root, result, _ = tree
  together = {name: data for name, data in changed_files(result, root).items()
              if name in program.sources()}
  alone = changed_files(migrated(lay_out([program], tmp_path)), tmp_path)
  assert {name: data for name, data in alone.items() if name in program.sources()} == together


def test_l6_the_place_of_the_tree_does_not_matter(tree, tmp_path):
  root, result, _ = tree
  elsewhere = lay_out(all_programs(), tmp_path / 'another' / 'place')
  moved = migrated(elsewhere)
  assert changed_files(moved, elsewhere) == changed_files(result, root)
  assert moved.manifest.to_json() == result.manifest.to_json()
  assert str(root) not in result.manifest.to_json()


def test_l7_migrating_runs_no_code_of_the_user(tmp_path):
  root = tmp_path / 'source'
  root.mkdir()
  (root / 'trap.py').write_text(f'''"""Importing this leaves a mark, then fails."""
from pathlib import Path

import flax.linen as nn

Path({str(tmp_path / 'mark')!r}).write_text('imported')


class Net(nn.Module):
  width: int = 4

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.width)(x)


raise RuntimeError('imported')
''')
  result = migrated(root)
  assert not (tmp_path / 'mark').exists()
  assert [report.outcome for report in result.classes] == ['native']
  assert 'trap.py' in changed_files(result, root)


def test_a_file_that_cannot_be_read_is_an_error_with_its_line_and_stops_no_other(tmp_path):
  (tmp_path / 'good.py').write_bytes(next(p for p in all_programs() if p.name == 'compact_mlp')
                                     .sources()['compact_mlp.py'])
  (tmp_path / 'broken.py').write_text('import flax.linen as nn\n\nclass Broken(nn.Module:\n  pass\n')
  result = migrated(tmp_path)
  assert [(error.file, error.line) for error in result.errors] == [('broken.py', 3)]
  assert set(changed_files(result, tmp_path)) == {'good.py'}
