"""Cases: reading them from files, and one clear error for everything that is wrong."""
from __future__ import annotations

import numpy as np
import pytest
from check_pairs import write

from migrator.equivalence import Case, CaseError
from migrator.equivalence.case_files import read_cases
from migrator.equivalence.cases import from_json
from migrator.equivalence.inputs import ArraySpec, Expression, SpecError, make_array, parse_spec

TOML = """
[[tool.linen2nnx.cases]]
name = "vit"
model = "zoo.vit:ViT"
arguments = {config = "zoo.vit.ViTConfig()", classes = "10"}
inputs = ["f32[2,32,32,3]"]
eval = {train = false}
train = {train = true}
rngs = ["dropout"]
mutable = ["batch_stats"]
"""
VIT = Case('vit', 'zoo.vit:ViT', {'config': 'zoo.vit.ViTConfig()', 'classes': '10'},
           inputs=('f32[2,32,32,3]',), eval={'train': False}, train={'train': True}, rngs=('dropout',),
           mutable=('batch_stats',))


def test_pyproject(tmp_path):
  assert read_cases(write(tmp_path, {'pyproject.toml': TOML}) / 'pyproject.toml') == [VIT]


def test_python_file_with_cases_and_dicts(tmp_path):
  text = ('from migrator.equivalence import Case\n'
          'CASES = [Case("a", "zoo:A", inputs=["f32[2]"]),'
          ' {"name": "b", "model": "zoo:B", "train": False}]\n')
  cases = read_cases(write(tmp_path, {'cases.py': text}) / 'cases.py')
  assert [(case.name, case.inputs) for case in cases] == [('a', ('f32[2]',)), ('b', ())]


def test_pyproject_may_name_another_file(tmp_path):
  write(tmp_path, {'pyproject.toml': '[tool.linen2nnx]\ncases = "more.toml"\n',
                   'more.toml': TOML.replace('tool.linen2nnx.', '')})
  assert read_cases(tmp_path / 'pyproject.toml') == [VIT]


def test_json_round_trip():
  assert from_json(VIT.to_json(), 'here') == VIT


@pytest.mark.parametrize('changes, words', [
  ({'model': 'zoo.vit.ViT'}, ['model', "'package.module:Class'"]),
  ({'inputs': ['f33[2]']}, ['inputs[0]', "'f33[2]'", 'bf16']),
  ({'inputs': ['i32[2]']}, ['inputs[0]', '< 100']),
  ({'inputs': ['f32[b,2]']}, ['inputs[0]', 'whole numbers']),
  ({'inputs': 'f32[2]'}, ['inputs', 'a list']),
  ({'keywords': {'mask': 'f32'}}, ['keywords.mask', 'allowed']),
  ({'arguments': {'x': object()}}, ['arguments', 'text of a Python expression']),
  ({'tolerance': 2}, ['tolerance', 'from 0']),
  ({'tolerance': True}, ['tolerance']),
  ({'rngs': 'dropout'}, ['rngs', 'list of stream names']),
  ({'method': 'a b'}, ['method']),
  ({'eval': False, 'train': False}, ['eval and train']),
  ({'flags': {}}, ['flags', 'no field', 'tolerance']),
])
def test_a_bad_field_is_named(changes, words):
  with pytest.raises(CaseError) as error:
    from_json({'name': 'mine', 'model': 'zoo:A', **changes}, 'here')
  assert all(word in str(error.value) for word in ["case 'mine'", *words]), error.value
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('table, words', [
  ({'model': 'zoo:A'}, ['here', 'name is missing']), ({'name': 'a'}, ["case 'a'", 'model is missing']),
  (['a'], ['here', 'table'])])
def test_missing_fields(table, words):
  with pytest.raises(CaseError) as error:
    from_json(table, 'here')
  assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize('name, text, words', [
  ('pyproject.toml', 'a = [', ['not readable as TOML']),
  ('pyproject.toml', '[tool.linen2nnx]\n', ['no cases']),
  ('cases.py', 'CASES = []', ['no cases']),
  ('cases.py', '1 / 0', ['ZeroDivisionError']),
  ('cases.py', 'CASES = [dict(name="a", model="z:A")] * 2', ["case 'a'", 'given 2 times']),
])
def test_bad_files(tmp_path, name, text, words):
  with pytest.raises(CaseError) as error:
    read_cases(write(tmp_path, {name: text}) / name)
  assert all(word in str(error.value) for word in words)


def test_missing_file(tmp_path):
  with pytest.raises(CaseError, match='no such file'):
    read_cases(tmp_path / 'nothing.toml')


@pytest.mark.parametrize('text, spec', [
  ('f32[2, 8]', ArraySpec('float32', (2, 8))), ('bf16[]', ArraySpec('bfloat16', ())),
  ('i32[3]<7', ArraySpec('int32', (3,), 7)), ('bool[2]', ArraySpec('bool', (2,))),
  ('= None', Expression('None')),
])
def test_specs(text, spec):
  assert parse_spec(text) == spec


def test_bound_is_for_whole_numbers():
  with pytest.raises(SpecError, match='integer'):
    parse_spec('f32[2] < 3')


def test_arrays_depend_on_the_words_alone():
  spec = parse_spec('i32[50] < 7')
  first, again, other = make_array(spec, 'a', '0'), make_array(spec, 'a', '0'), make_array(spec, 'a', '1')
  assert (first == again).all() and not (first == other).all()
  assert first.dtype == np.int32 and set(first) == set(range(7))
  assert make_array(parse_spec('bf16[3]'), 'a').dtype.name == 'bfloat16'
