"""What a record derives (sizes, argument names, refusals) is what its own samples write by hand."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from record_scope import evaluate, nnx_class, resolve, scope

from rewrites import facts as ask
from rewrites import registry
from rewrites.layers.einsum import bias_axes
from rewrites.record import Facts, Layer, NotDerivable, Sample, Unknown, exact_arguments

SAMPLES = [
  pytest.param(layer, sample, id=f'{layer.linen[0].rpartition(".")[2]}-{index}')
  for layer in registry.layers()
  for index, sample in enumerate(layer.samples)
  if layer.sizes
]


def given(call: str, signature: inspect.Signature) -> dict[str, ast.expr]:
  """Returns the arguments a constructor expression gives, by parameter name."""
  node = ast.parse(call, mode='eval').body
  assert isinstance(node, ast.Call)
  bound = signature.bind(None, *node.args, **{keyword.arg: keyword.value for keyword in node.keywords})
  return {name: value for name, value in bound.arguments.items() if name != 'self'}


def value_of(node: ast.expr) -> Any:
  try:
    return ast.literal_eval(node)
  except ValueError:
    return Unknown(ast.unparse(node))


def facts_of(layer: Layer, sample: Sample) -> Facts:
  linen = resolve(layer.linen[0])
  arguments = {
    name: value_of(node) for name, node in given(sample.linen, inspect.signature(linen.__init__)).items()
  }
  inputs = sample.inputs if sample.linen_init is None else sample.linen_init
  call = inspect.signature(linen.__call__).bind(
    None, *map(evaluate, inputs), **evaluate(f'dict({sample.linen_call})')
  )
  shapes = {name: value.shape for name, value in call.arguments.items() if hasattr(value, 'shape')}
  return Facts(arguments, shapes)


@pytest.mark.parametrize('layer, sample', SAMPLES)
def test_sizes(layer: Layer, sample: Sample):
  facts = facts_of(layer, sample)
  native = given(sample.nnx, inspect.signature(nnx_class(layer).__init__))
  assert layer.refuse is None or layer.refuse(facts) is None
  for size in layer.sizes:
    derived = size.of(facts)
    if size.nnx in native:
      assert derived == ast.literal_eval(native[size.nnx]), size.nnx
    else:
      assert derived is None, size.nnx


@pytest.mark.parametrize('layer, sample', SAMPLES)
def test_arguments(layer: Layer, sample: Sample):
  """The NNX side of a sample is the Linen side with renamed arguments, sizes, defaults, exact helpers."""
  linen = given(sample.linen, inspect.signature(resolve(layer.linen[0]).__init__))
  native = given(sample.nnx, inspect.signature(nnx_class(layer).__init__))
  expected = {
    argument.nnx: ast.unparse(linen[argument.linen])
    for argument in layer.arguments
    if argument.linen in linen and argument.nnx is not None
  }
  wrapped = {
    argument.nnx for argument in layer.arguments if argument.wrap is not None and argument.linen in linen
  }
  for name, text in expected.items():
    written = ast.unparse(native[name])
    assert written == text or (name in wrapped and written.endswith(f'({text})')), name
  exact = exact_arguments(layer, facts_of(layer, sample))
  more = set(native) - set(expected) - {size.nnx for size in layer.sizes} - set(layer.added) - {'rngs'}
  defaults = {argument.nnx for argument in layer.arguments if argument.linen_default != argument.nnx_default}
  assert more <= set(exact) | defaults
  for name in more & set(exact):
    assert ast.unparse(native[name]) == exact[name].name
  if sample.exact and layer.numerics == 'exact':
    assert set(exact) <= set(native)


def layer(name: str) -> Layer:
  found = registry.layer_for(f'flax.linen.{name}')
  assert found is not None
  return found


def size(name: str, which: int, arguments: dict[str, Any], **shapes: tuple[Any, ...]) -> Any:
  return layer(name).sizes[which].of(Facts(arguments, shapes))


def test_sizes_keep_opaque_dims():
  assert size('Dense', 0, {}, inputs=('b', 'n', 'c')) == 'c'
  assert size('DenseGeneral', 0, {'axis': (-1, 1)}, inputs=('b', 'n', 'm', 'c')) == ('n', 'c')
  assert size('DenseGeneral', 1, {'batch_dims': (-4,)}, inputs=('b', 'n', 'm', 'c')) == {0: 'b'}
  assert size('BatchNorm', 0, {'axis': 1}, x=('b', 'n', 'c')) == 'n'
  assert size('ConvLocal', 1, {'kernel_size': (3, Unknown('k'))}, inputs=('b', 'h', 'w', 'c')) == ('h', 'w')
  assert size('Einsum', 0, {'shape': (Unknown('h'), 3, 5), 'einsum_str': '...na, hab -> ...nbh'}) == (
    5,
    Unknown('h'),
  )


def test_key_value_features():
  assert size('MultiHeadAttention', 1, {}, inputs_q=('b', 'n', 'c')) is None
  assert size('MultiHeadAttention', 1, {}, inputs_q=('b', 'n', 'c'), inputs_k=('b', 'm', 'c')) is None
  assert size('MultiHeadAttention', 1, {}, inputs_q=('b', 'n', 'c'), inputs_kv=('b', 'm', 'd')) == 'd'
  with pytest.raises(NotDerivable, match='different features'):
    size(
      'MultiHeadAttention',
      1,
      {},
      inputs_q=('b', 'n', 'c'),
      inputs_k=('b', 'm', 'c'),
      inputs_v=('b', 'm', 'd'),
    )


@pytest.mark.parametrize(
  'name, which, arguments, shapes, reason',
  [
    ('Dense', 0, {}, {}, 'not known'),
    ('DenseGeneral', 0, {'axis': Unknown('self.axis')}, {'inputs': (1, 2)}, 'self.axis'),
    ('DenseGeneral', 0, {'axis': (2,)}, {'inputs': (1, 2)}, 'lies outside'),
    ('BatchNorm', 0, {'axis': (1, 2)}, {'x': (1, 2, 3)}, 'one axis'),
    ('LayerNorm', 0, {'feature_axes': 3}, {'x': (1, 2, 3)}, '3 axes'),
    ('LayerNorm', 0, {'feature_axes': (Unknown('a'),)}, {'x': (1, 2, 3)}, 'literal'),
    ('Einsum', 0, {'shape': Unknown('s'), 'einsum_str': 'na,ab->nb'}, {}, 'literal'),
    ('Einsum', 0, {'shape': (3, 5), 'einsum_str': 'na->n'}, {}, 'form'),
    ('ConvLocal', 1, {}, {'inputs': (1, 2, 3)}, 'kernel_size'),
  ],
)
def test_not_derivable(name: str, which: int, arguments: dict, shapes: dict, reason: str):
  with pytest.raises(NotDerivable, match=reason):
    size(name, which, arguments, **shapes)


@pytest.mark.parametrize(
  'name, arguments, shapes, reason',
  [
    ('BatchNorm', {'axis': (1, 2)}, {'x': (1, 2, 3)}, 'one axis in NNX'),
    ('LayerNorm', {'feature_axes': (1, 2)}, {}, 'one axis in NNX'),
    ('GroupNorm', {'reduction_axes': (2, 3)}, {'x': (1, 2, 3, 4)}, 'wrong numbers'),
    ('GroupNorm', {'reduction_axes': (2, 3)}, {}, 'wrong numbers'),
    ('GroupNorm', {'reduction_axes': Unknown('axes')}, {'x': (1, 2, 3, 4)}, 'axes is not a literal'),
    ('Einsum', {'shape': (3, 5)}, {}, 'at the call'),
  ],
)
def test_refused(name: str, arguments: dict, shapes: dict, reason: str):
  assert reason in layer(name).refuse(Facts(arguments, shapes))


@pytest.mark.parametrize(
  'arguments, half',
  [
    ({}, False),
    ({'dtype': None}, False),
    ({'dtype': Unknown('jnp.float32')}, False),
    ({'dtype': 'float32'}, False),
    ({'dtype': Unknown('jnp.bfloat16')}, True),
    ({'dtype': Unknown('self.dtype')}, True),
    ({'dtype': 'bfloat16'}, True),
  ],
)
def test_half_precision(arguments: dict, half: bool):
  assert ask.half_or_unknown(Facts(arguments, {})) is half


def test_bias_axes_follow_the_result():
  assert bias_axes('na,hab->nbh') == (2, 0) and bias_axes('...a,ab->...b') == (1,)


@pytest.mark.parametrize('layer', [pytest.param(each, id=each.linen[0]) for each in registry.layers()])
def test_examples_are_programs(layer: Layer):
  for example in layer.examples:
    compile(example.before, 'before', 'exec')
    if example.after is not None:
      compile(example.after, 'after', 'exec')
      assert 'nn.' in example.before and 'linen' not in example.after and '(nnx.Module)' in example.after


def test_helper_sources_stand_alone():
  """A helper runs with its own imports, and says so when it is imported into a user's file."""
  for name, helper in ((each.nnx, each.helper) for each in registry.layers() if each.helper):
    assert helper.name == name and scope()[name].__doc__
    assert helper.source.endswith('\n') and 'linen2nnx' not in helper.source
    assert max(map(len, helper.source.splitlines())) <= 110
