"""The recorded arguments and defaults are those of the installed Flax, on both sides."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from record_scope import evaluate, nnx_class, resolve

from rewrites import registry
from rewrites.record import REQUIRED, SAME, Argument, Layer, Source

LAYERS = [pytest.param(layer, id=layer.linen[0].rpartition('.')[2]) for layer in registry.layers()]
NAMES = [
  pytest.param(layer, name, id=name.rpartition('.')[2]) for layer in registry.layers() for name in layer.linen
]
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(function: Callable) -> dict[str, inspect.Parameter]:
  """Returns the parameters without self, parent and name; variadic ones with their stars."""
  stars = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
  found = inspect.signature(function).parameters.values()
  return {
    stars.get(parameter.kind, '') + parameter.name: parameter
    for parameter in found
    if parameter.name not in ('self', 'parent', 'name')
  }


def agrees(recorded: Any, actual: Any) -> bool:
  """Whether a recorded default is the actual one: the same value, or a function with the same results."""
  if recorded is REQUIRED or actual is inspect.Parameter.empty:
    return recorded is REQUIRED and actual is inspect.Parameter.empty
  value = evaluate(recorded.text) if isinstance(recorded, Source) else recorded
  if value is actual or (type(value) is type(actual) and bool(value == actual)):
    return True
  return callable(value) and callable(actual) and _same_results(value, actual)


def _same_results(one: Callable, other: Callable) -> bool:
  trials = ((jax.random.key(1), (4, 6), jnp.float32), (jnp.arange(6.0).reshape(2, 3), jnp.ones((2, 3))))
  for trial in trials:
    try:
      return bool(np.array_equal(one(*trial), other(*trial)))
    except TypeError:
      continue
  return False


def spelled(argument: Argument, side: str) -> Any:
  special = getattr(argument, f'{side}_spelled')
  return getattr(argument, f'{side}_default') if special is SAME else special


@pytest.mark.parametrize('layer, name', NAMES)
def test_linen_constructor(layer: Layer, name: str):
  actual = parameters(resolve(name).__init__)
  assert [argument.linen for argument in layer.arguments] == list(actual)
  wrong = {
    argument.linen: actual[argument.linen].default
    for argument in layer.arguments
    if not (argument.unsupported and argument.nnx is None)
    and not agrees(spelled(argument, 'linen'), actual[argument.linen].default)
  }
  assert wrong == {}


@pytest.mark.parametrize('layer', LAYERS)
def test_nnx_constructor(layer: Layer):
  actual = parameters(nnx_class(layer).__init__)
  if layer.star_argument is not None:
    assert list(actual) == ['*fns']
    return
  for argument in layer.arguments:
    if argument.nnx is None:
      continue
    parameter = actual[argument.nnx]
    assert agrees(spelled(argument, 'nnx'), parameter.default), (argument.linen, parameter.default)
    assert argument.keyword == (parameter.kind is parameter.KEYWORD_ONLY), argument.linen


@pytest.mark.parametrize('layer', LAYERS)
def test_nnx_positions(layer: Layer):
  """Sizes, then positional arguments, are NNX's first parameters, unless all is written by keyword."""
  actual = parameters(nnx_class(layer).__init__)
  leading = [size.nnx for size in layer.sizes if not size.keyword]
  if layer.reorder:
    assert leading == []
    return
  leading += [argument.nnx for argument in layer.arguments if argument.nnx and not argument.keyword]
  positional = [
    name for name, parameter in actual.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
  ]
  assert positional[: len(leading)] == leading or layer.star_argument


@pytest.mark.parametrize('layer', LAYERS)
def test_every_required_nnx_argument_is_written(layer: Layer):
  actual = parameters(nnx_class(layer).__init__)
  required = {
    name
    for name, parameter in actual.items()
    if parameter.default is parameter.empty and parameter.kind not in _VARIADIC
  }
  written = (
    {size.nnx for size in layer.sizes} | {argument.nnx for argument in layer.arguments} | set(layer.added)
  )
  assert required - written - ({'rngs'} if layer.rngs else set()) == set()
  assert ('rngs' in actual) or not layer.rngs
  assert {size.nnx for size in layer.sizes} | set(layer.added) | set(layer.exact_helper) <= set(actual)


@pytest.mark.parametrize('layer, name', NAMES)
def test_linen_call(layer: Layer, name: str):
  assert [argument.linen for argument in layer.call] == list(parameters(resolve(name).__call__))


@pytest.mark.parametrize('layer', LAYERS)
def test_nnx_call(layer: Layer):
  actual = parameters(nnx_class(layer).__call__)
  for argument in layer.call:
    if argument.nnx is None:
      continue
    parameter = actual[argument.nnx]
    if parameter.kind not in _VARIADIC:
      assert argument.keyword == (parameter.kind is parameter.KEYWORD_ONLY), argument.linen
  flags = {argument.on_call for argument in layer.arguments if argument.on_call}
  assert flags <= set(actual)


@pytest.mark.parametrize('layer', LAYERS)
def test_children_are_arguments(layer: Layer):
  assert {child.argument for child in layer.children} <= {argument.linen for argument in layer.arguments}


def test_the_comparison_can_fail():
  init = jax.nn.initializers
  assert not agrees(1, 2) and not agrees(1, True) and not agrees(REQUIRED, None)
  assert not agrees(Source('flax.nnx.initializers.zeros_init()'), init.ones)
  assert not agrees(Source('flax.nnx.initializers.lecun_normal()'), init.he_normal())
  assert agrees(Source('flax.nnx.initializers.zeros_init()'), init.zeros)
