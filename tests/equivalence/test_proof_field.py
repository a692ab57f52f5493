"""Random points of a prime field: the same real function passes, another one does not, precision is told apart."""
from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from migrator.equivalence.proof.field.fingerprints import fingerprints
from migrator.equivalence.proof.field.oracle import exponential, odd
from migrator.equivalence.proof.field.prime import P, bilinear, inverse, of_float, root
from migrator.equivalence.proof.tracing import trace

ELEMENT = st.integers(1, P - 1)
X = jax.ShapeDtypeStruct((3, 4), np.float32)
IMAGE = jax.ShapeDtypeStruct((2, 6, 6, 3), np.float32)


def points(function, kind, rounds=False, seed=1):
  """Returns the hash of the one output of a function."""
  traced = trace(lambda given: {'y': function(given['x'])}, {'x': kind})
  return fingerprints(traced, {}, seed, rounds, {})['y']


@settings(deadline=None)
@given(ELEMENT, ELEMENT)
def test_field_laws(a, b):
  assert int(inverse(a)) * a % P == 1
  assert int(root(a * a % P)) in (a, P - a)
  assert exponential(a) * exponential(P - a) % P == 1
  assert (odd('erf', a) + odd('erf', P - a)) % P == 0
  product = bilinear(lambda x, y: x @ y, np.array([[a, b]]), np.array([[b], [a]]))
  assert int(product[0, 0]) == 2 * a * b % P


@settings(deadline=None)
@given(st.fractions(min_value=-9, max_value=9, max_denominator=200))
def test_rounded_constants_are_read_as_the_fraction_they_mean(value):
  exact = value.numerator * pow(value.denominator, P - 2, P) % P
  assert of_float(float(np.float32(value)), 2.0**-23) == exact


def test_roots_of_small_numbers_cancel():
  for size in (2, 8, 12, 32, 64):
    scale = of_float(float(np.float32(1 / math.sqrt(size))), 2.0**-23)
    assert scale * scale * size % P == 1


SAME = {
  'distributed': (lambda x: x * (x + 1), lambda x: x * x + x, X),
  'scale before the product': (lambda x: (x @ x.T) / math.sqrt(8), lambda x: (x / math.sqrt(8)) @ x.T, X),
  'softmax written out': (lambda x: jax.nn.softmax(x),
                          lambda x: jnp.exp(x - x.max(-1, keepdims=True)) / jnp.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True), X),
  'mean as a sum': (lambda x: x.mean(0), lambda x: x.sum(0) * np.float32(1 / 3), X),
  'tanh by exp': (jnp.tanh, lambda x: 2 * jax.nn.sigmoid(2 * x) - 1, X),
  'pooling as slices': (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), 'VALID'),
                        lambda x: x.reshape(2, 3, 2, 3, 2, 3).max((2, 4)), IMAGE),
  'convolution of one point': (lambda x: lax.conv_general_dilated(x, jnp.ones((1, 1, 3, 2)), (1, 1), 'SAME',
                                                                  dimension_numbers=('NHWC', 'HWIO', 'NHWC')),
                               lambda x: x @ jnp.ones((3, 2)), IMAGE),
  'loop and sum': (lambda x: lax.scan(lambda c, r: (c + r, None), jnp.zeros(4), x)[0], lambda x: x.sum(0), X),
}
OTHER = {
  'missing relu': (jax.nn.relu, lambda x: x, X),
  'other constant': (lambda x: x + 1e-6, lambda x: x + 1e-5, X),
  'other axis': (lambda x: x[:3, :3].sum(0), lambda x: x[:3, :3].sum(1), X),
  'maximum and minimum': (lambda x: x.max(0), lambda x: x.min(0), X),
  'gelu': (lambda x: jax.nn.gelu(x, approximate=True), lambda x: jax.nn.gelu(x, approximate=False), X),
  'padding': (lambda x: lax.reduce_window(x, 0., lax.add, (1, 2, 2, 1), (1, 1, 1, 1), 'SAME'),
              lambda x: lax.reduce_window(x, 0., lax.add, (1, 2, 2, 1), (1, 1, 1, 1), [(0, 0), (1, 0), (1, 0), (0, 0)]), IMAGE),
  'cumulative': (lambda x: jnp.cumsum(x, 0), lambda x: lax.cumsum(x, 0, reverse=True), X),
  'sorted otherwise': (lambda x: jnp.sort(x, 0), lambda x: jnp.sort(x, 1), X),
}


@pytest.mark.parametrize('name', SAME)
def test_same_real_function(name):
  left, right, kind = SAME[name]
  assert points(left, kind) == points(right, kind)


@pytest.mark.parametrize('name', OTHER)
def test_another_function(name):
  left, right, kind = OTHER[name]
  assert points(left, kind) != points(right, kind)


def test_precision_is_told_apart():
  half = lambda x: (x.astype(jnp.bfloat16) * 2).astype(jnp.float32)
  assert points(half, X) == points(lambda x: x * 2, X)
  assert points(half, X, rounds=True) != points(lambda x: x * 2, X, rounds=True)


def test_too_large_is_refused():
  from migrator.equivalence.errors import RequestError
  with pytest.raises(RequestError, match='smaller sizes'):
    points(lambda x: x @ x.T, jax.ShapeDtypeStruct((5000, 5000), np.float32))


def test_inputs_of_whole_numbers_are_cut_to_the_shape_that_was_traced():
  traced = trace(lambda given: {'y': given['x'] * 2}, {'x': jax.ShapeDtypeStruct((1, 3), np.int32)})
  case, other = np.arange(6, dtype=np.int32).reshape(2, 3), np.array([[0, 1, 2], [9, 9, 9]], np.int32)
  assert fingerprints(traced, {}, 1, False, {'x': case}) == fingerprints(traced, {}, 1, False, {'x': other})
  assert fingerprints(traced, {}, 1, False, {'x': case}) != fingerprints(traced, {}, 1, False, {'x': case[:1] + 1})
