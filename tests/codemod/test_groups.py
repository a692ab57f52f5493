"""Files are migrated in groups: what one group may see of another puts both together."""
from __future__ import annotations

from pathlib import Path

import pytest

from migrator.codemod import Options, migrate
from migrator.codemod.groups import independent, joined
from migrator.codemod.part import migrate_part
from migrator.source.project import read_project

LAYER = 'from flax import linen as nn\n\n\nclass {0}(nn.Module):\n  @nn.compact\n  def __call__(self, x):\n    return nn.Dense(3)(x)\n'
FIRST, SECOND = LAYER.format('First'), LAYER.format('Second')
USER = 'from flax import linen as nn\n{0}\n\n\nclass User(nn.Module):\n  @nn.compact\n  def __call__(self, x):\n    return {1}(x)\n'


def groups(folder: Path, **files: str) -> list[list[str]]:
  for name, text in files.items():
    (folder / f'{name}.py').write_text(text)
  return independent(read_project([folder], folder))


def test_files_that_know_nothing_of_each_other_stay_apart(tmp_path: Path) -> None:
  assert groups(tmp_path, a=FIRST, b=SECOND) == [['a'], ['b']]


def test_the_same_class_name_in_two_files_does_not_join_them(tmp_path: Path) -> None:
  user = FIRST + USER.format('', 'First()').partition('\n')[2]
  assert groups(tmp_path, a=FIRST, b=user) == [['a'], ['b']]


@pytest.mark.parametrize(('imports', 'made'), [
  ('from a import First', 'First()'),
  ('from a import First as Other', 'Other()'),
  ('import a', 'a.First()'),
  ('from a import make', 'make()'),
  ('from a import TABLE', "TABLE['first']()"),
  ('from a import Holder', 'Holder.layer()'),
  ('from a import again', 'again()'),
])
def test_ways_to_a_class_of_another_file(tmp_path: Path, imports: str, made: str) -> None:
  first = FIRST + (
    "\n\ndef make():\n  return First()\n\n\ndef again():\n  return make()\n\n\nTABLE = {'first': First}\n\n\n"
    'class Holder:\n  layer = First\n')
  assert groups(tmp_path, a=first, b=SECOND, c=USER.format(imports, made)) == [['a', 'c'], ['b']]


def test_a_class_looked_up_by_a_computed_name_joins(tmp_path: Path) -> None:
  find = 'import a\n\n\ndef find(name):\n  return getattr(a, name)\n'
  assert ['a', 'find'] in groups(tmp_path, a=FIRST, b=SECOND, find='# flax\n' + find)


def test_groups_that_meet_are_put_together() -> None:
  assert joined([['a'], ['b'], ['c', 'd'], ['e']], [{'a', 'd'}, {'b', 'e'}]) == [['a', 'c', 'd'], ['b', 'e']]


def test_a_class_met_outside_of_the_part_is_told(tmp_path: Path) -> None:
  groups(tmp_path, a=FIRST, b=USER.format('from a import First', 'First()'))
  project = read_project([tmp_path], tmp_path)
  assert migrate_part(project, ['b'], Options()).strays == {'a'}
  assert not migrate_part(project, ['a', 'b'], Options()).strays


def test_parts_give_what_the_whole_gives(tmp_path: Path) -> None:
  groups(tmp_path, a=FIRST, b=USER.format('from a import First', 'First()'), c=SECOND)
  whole = migrate_part(read_project([tmp_path], tmp_path), ['a', 'b', 'c'], Options())
  result = migrate([tmp_path], tmp_path)
  assert [file.path.name for file in result.files] == ['a.py', 'b.py', 'c.py']
  assert result.files == whole.files
  assert result.manifest.classes == whole.classes
