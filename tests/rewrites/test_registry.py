"""Discovery: records are found by being there, doubles are refused, nothing heavy is imported."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap
import types

import flax.linen as nn
import pytest

from rewrites import handled, registry
from rewrites.record import Argument, Facts, Helper, Layer, exact_arguments

ROOT = pathlib.Path(__file__).resolve().parents[2]

_LAYER = (
  'from rewrites.record import Layer\n'
  "RECORD = Layer(linen=('flax.linen.{0}',), nnx='flax.nnx.{0}', member='m')\n"
)
_MANUAL = "from rewrites.record import Manual\nRECORDS = (Manual({{'flax.linen.{0}': 'why'}}),)\n"


@pytest.fixture
def package(tmp_path, monkeypatch, request):
  """Writes modules into a package of its own and returns its name."""
  name = f'records_{request.node.name}'
  folder = tmp_path / name
  folder.mkdir()
  (folder / '__init__.py').write_text('')
  monkeypatch.syspath_prepend(tmp_path)

  def write(**files: str) -> str:
    for stem, text in files.items():
      (folder / f'{stem}.py').write_text(textwrap.dedent(text))
    return name

  return write


def test_finds_record_and_records(package):
  found = registry.collect([package(one=_LAYER.format('One'), two=_MANUAL.format('Two'))])
  assert list(found.by_name) == ['flax.linen.One'] and found.manual == {'flax.linen.Two': 'why'}


def test_double_layer_names_both_files(package):
  name = package(one=_LAYER.format('Same'), two=_LAYER.format('Same'))
  with pytest.raises(registry.DuplicateRecord, match=r'flax\.linen\.Same .*one\.py.*two\.py'):
    registry.collect([name])


def test_double_across_kinds(package):
  name = package(one=_LAYER.format('Same'), two=_MANUAL.format('Same'))
  with pytest.raises(registry.DuplicateRecord, match=r'one\.py.*two\.py'):
    registry.collect([name])


def test_file_without_record(package):
  with pytest.raises(TypeError, match=r'empty\.py.*RECORD'):
    registry.collect([package(empty='X = 1\n')])


def test_file_with_something_else(package):
  with pytest.raises(TypeError, match='no Layer, Functions or Manual'):
    registry.collect([package(odd='RECORD = 3\n')])


def test_importing_all_records_imports_no_jax_and_no_flax():
  code = (
    'import sys\nfrom rewrites import handled, registry\nregistry.registry()\n'
    "heavy = ('jax', 'jaxlib', 'flax', 'numpy', 'libcst')\n"
    "print([name for name in sys.modules if name.split('.')[0] in heavy])\n"
  )
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
  assert done.stdout.strip() == '[]'


def test_long_and_short_names():
  dense = registry.layer_for('flax.linen.Dense')
  assert dense is not None and dense.nnx == 'flax.nnx.Linear'
  assert registry.layer_for('flax.linen.linear.Dense') is dense
  assert registry.layer_for('other.linear.Dense') is None
  assert registry.layer_for('flax.linen.a.b.Dense') is None
  assert registry.canonical('flax.linen.activation.relu') == 'flax.linen.relu'
  assert registry.canonical('flax.linen.initializers.zeros') == 'flax.linen.initializers.zeros'
  assert registry.layer_for_nnx('flax.nnx.Linear') == (dense,)
  assert len(registry.layer_for_nnx('flax.nnx.MultiHeadAttention')) == 2
  assert [layer.linen[0] for layer in registry.layer_for_nnx('GRUCell')] == ['flax.linen.GRUCell']
  assert (
    registry.manual_reason('flax.linen.transforms.scan')
    == registry.manual_reason('flax.linen.scan')
    is not None
  )
  assert registry.manual_reason('flax.linen.Dense') is None
  assert registry.function_helper('flax.linen.module.merge_param').name == 'merge_param'
  assert registry.exact_function('flax.linen.dot_product_attention').name == 'linen_attention'


def public_names() -> list[str]:
  """Public names of flax.linen that are not submodules."""
  return sorted(
    f'flax.linen.{name}'
    for name in dir(nn)
    if not name.startswith('_') and not isinstance(getattr(nn, name), types.ModuleType)
  )


def test_every_public_name_is_covered_once():
  found = registry.registry()
  tables = (found.by_name, found.functions, found.function_helpers, found.manual, handled.HANDLED)
  counts = {name: sum(name in table for table in tables) for name in public_names()}
  assert {name: count for name, count in counts.items() if count != 1} == {}


def test_no_record_for_what_linen_does_not_have():
  found = registry.registry()
  named = [*found.by_name, *found.functions, *found.function_helpers, *found.manual, *handled.HANDLED]
  assert [name for name in named if name.count('.') == 2 and name not in public_names()] == []


def test_reasons_are_sentences_for_a_user():
  assert [
    name for name, reason in registry.registry().manual.items() if len(reason) < 20 or reason[-1] == '.'
  ] == []


def test_exact_arguments():
  helpers = {'a': Helper('f', ''), 'b': Helper('g', '')}
  record = Layer(
    linen=('x',),
    nnx='y',
    member='m',
    exact_helper=helpers,
    exact_when=lambda facts: 'dtype' in facts.arguments,
    exact_each={'b': lambda facts: 'flag' in facts.arguments},
  )
  assert exact_arguments(record, Facts({}, {})) == {}
  assert exact_arguments(record, Facts({'dtype': None}, {})) == {'a': helpers['a']}
  assert exact_arguments(record, Facts({'dtype': None, 'flag': True}, {})) == helpers


def test_defaults_that_differ_can_be_written():
  """A Linen default the codemod may have to write out is a literal, or a name it can import."""

  def differs(argument: Argument) -> bool:
    return argument.nnx is not None and argument.linen_default != argument.nnx_default

  found = {
    (layer.linen[0].rpartition('.')[2], argument.linen): argument.linen_default
    for layer in registry.layers()
    for argument in layer.arguments
    if differs(argument)
  }
  assert found == {
    ('BatchNorm', 'use_running_average'): None,
    ('Dropout', 'deterministic'): None,
    ('SimpleCell', 'dtype'): None,
    ('Einsum', 'einsum_str'): None,
    ('MultiHeadDotProductAttention', 'decode'): False,
    ('SelfAttention', 'decode'): False,
  }
