"""The manifest: text and back, the published schema, and every way it can be unreadable."""
from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.manifest import (
  SCHEMA,
  VERSION,
  Branch,
  ClassMap,
  Leaf,
  Loop,
  Manifest,
  ManifestError,
  Shared,
  SizeArgument,
  Submodule,
)

BLOCK = ClassMap(
  'zoo.mlp:MlpBlock', 'zoo/mlp.py', 12, 'native', fields=('features', 'train'), call_fields=('train',),
  arguments=(SizeArgument('in_features', '__call__', 'inputs'),
             SizeArgument('x_shape', '__call__', 'x', None, True)),
  call_arguments=('train',),
  members=(
    Loop((Submodule(None, 'Dense', ('linear', '*'), 'flax.linen.Dense'),)),
    Branch(((Submodule(('proj',), None, ('proj',), None),), ())),
    Leaf('scale_{}', 'params', ('scale', '{}')),
    Submodule(None, 'Sequential', ('head',), 'flax.linen.Sequential', transparent=True),
    Shared(('tied',), ('linear', '0')),
  ),
)
MANIFEST = Manifest({BLOCK.name: BLOCK})
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding='utf-8')))
NAMES = st.text(st.characters(codec='utf-8', exclude_categories=('Cs',)), max_size=6)
PATHS = st.lists(NAMES, max_size=3).map(tuple)
SIMPLE = st.one_of(
  st.builds(Submodule, PATHS, st.none(), PATHS, st.none() | NAMES, st.booleans()),
  st.builds(Submodule, st.none(), NAMES, PATHS, st.none() | NAMES, st.booleans()),
  st.builds(Leaf, NAMES, NAMES, PATHS), st.builds(Shared, PATHS, PATHS),
)
MEMBERS = st.recursive(
  SIMPLE, lambda inner: st.builds(Loop, st.lists(inner, max_size=3).map(tuple))
  | st.builds(Branch, st.lists(st.lists(inner, max_size=2).map(tuple), max_size=2).map(tuple)), max_leaves=6)
SIZES = st.builds(SizeArgument, NAMES, NAMES, NAMES, st.none() | st.integers(-9, 9), st.booleans())
CLASSES = st.builds(
  ClassMap, NAMES, NAMES, st.integers(1, 10**6), st.sampled_from(['native', 'bridged', 'left']), PATHS, PATHS,
  st.lists(SIZES, max_size=2).map(tuple), PATHS, st.lists(MEMBERS, max_size=4).map(tuple))


@given(st.lists(CLASSES, max_size=3))
@settings(max_examples=60, deadline=None)
def test_text_and_back_is_identity_and_fits_the_schema(classes):
  manifest = Manifest({entry.name: entry for entry in classes})
  text = manifest.to_json()
  assert Manifest.from_json(text) == manifest
  assert Manifest.from_json(text).to_json() == text
  VALIDATOR.validate(json.loads(text))


def test_order_of_classes_does_not_show():
  other = dataclasses.replace(BLOCK, name='a:A')
  pairs = [(BLOCK.name, BLOCK), (other.name, other)]
  assert Manifest(dict(pairs)).to_json() == Manifest(dict(pairs[::-1])).to_json()


def test_entries_equal_to_the_default_are_left_out():
  entry = json.loads(MANIFEST.to_json())['classes'][BLOCK.name]
  assert entry['members'][0]['body'][0] == {
    'kind': 'submodule', 'auto': 'Dense', 'nnx': ['linear', '*'], 'cls': 'flax.linen.Dense'}
  assert entry['arguments'][1]['axis'] is None


def _changed(**changes):
  return json.dumps({**json.loads(MANIFEST.to_json()), **changes})


def _class(**changes):
  return {'a:A': {'name': 'a:A', 'file': 'a.py', 'line': 1, 'outcome': 'native', **changes}}


def _member(member):
  return _changed(classes=_class(members=[member]))


UNREADABLE = {
  'not json': ('{', 'not JSON'),
  'deep': ('[' * 200_000, 'not JSON'),
  'a list': ('[]', 'no manifest'),
  'another format': (_changed(format='x'), 'no manifest'),
  'newer': (_changed(version=VERSION + 1), f'version {VERSION + 1}.*up to version {VERSION}: upgrade'),
  'no version': (_changed(version=None), 'positive whole number'),
  'true version': (_changed(version=True), 'positive whole number'),
  'no classes': (_changed(classes=None), 'classes: expected dict'),
  'unknown entry': (_changed(extra=1), "unknown entry 'extra'"),
  'wrong key': (_changed(classes={'b:B': _class()['a:A']}), 'names itself'),
  'outcome': (_changed(classes=_class(outcome='x')), 'outcome'),
  'line': (_changed(classes=_class(line=True)), 'line: expected int'),
  'kind': (_member({'kind': 'x'}), r'members\[0\]: kind'),
  'no kind': (_member({}), r'members\[0\]: kind None'),
  'missing': (_member({'kind': 'leaf', 'linen': 'w', 'nnx': []}), "'collection' is missing"),
  'neither': (_member({'kind': 'submodule', 'nnx': ['a']}), 'exactly one of linen and auto'),
  'both': (_member({'kind': 'submodule', 'nnx': ['a'], 'linen': ['a'], 'auto': 'A'}),
           'exactly one of linen and auto'),
  'nested': (_member({'kind': 'loop', 'body': [{'kind': 'shared', 'nnx': [1], 'same_as': []}]}),
             r'members\[0\].body\[0\].nnx\[0\]: expected str, found int'),
}


@pytest.mark.parametrize('text, message', UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_says_where(text, message):
  with pytest.raises(ManifestError, match=message):
    Manifest.from_json(text)


@pytest.mark.parametrize('case', sorted(set(UNREADABLE) - {'not json', 'deep', 'wrong key'}))
def test_the_schema_refuses_what_the_reader_refuses(case):
  assert not VALIDATOR.is_valid(json.loads(UNREADABLE[case][0]))


def test_the_schema_is_one():
  jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


def test_importing_it_imports_no_jax():
  program = 'import sys, migrator.manifest; sys.exit(bool({"jax", "flax", "numpy"} & set(sys.modules)))'
  assert subprocess.run([sys.executable, '-c', program]).returncode == 0
