"""Every rule of the prover: it is needed for its sample, both sides have the same bits, and says why in one line."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from proof_programs import fired, level, same_bits

from migrator.equivalence.proof.rules import RULES, rule_names
from migrator.equivalence.proof.rules.record import COMMUTATIVE

SPECIAL = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 3e-39, 1e30, 0.1, 7.0, 2.0]
F = np.array(SPECIAL, np.float32)
G = np.array(SPECIAL[::-1], np.float32)
M = np.arange(12, dtype=np.float32).reshape(3, 4) - 5.5
B = np.array([True, False] * 6)
WHOLE = np.arange(-6, 6, dtype=np.int32)


# rule -> (left, right, arguments): two spellings that the rule reconciles.
SAMPLES = {
  'copy': (lambda x: lax.optimization_barrier(x), lambda x: x, (F,)),
  'undone': (lambda x: lax.neg(lax.neg(x)), lambda x: x, (F,)),
  'accumulated': (jax.grad(lambda x: (x * jnp.array(2.) + jnp.sin(x)).sum()),
                  lambda x: jnp.cos(x) + jnp.broadcast_to(jnp.float32(2.), x.shape), (F[:6],)),
  'no_padding': (lambda x: lax.pad(x, jnp.float32(0), [(0, 0, 0)]), lambda x: x, (F,)),
  'same_dtype': (lambda x: lax.convert_element_type(x, jnp.float32), lambda x: x * jnp.float32(1), (1.5,)),
  'widened_and_back': (lambda x: x.astype(jnp.float32).astype(jnp.bfloat16), lambda x: x,
                       (jnp.asarray(F, jnp.bfloat16),)),
  'convert_before_broadcast': (lambda x: jnp.broadcast_to(x, (2, 12)).astype(jnp.bfloat16),
                               lambda x: jnp.broadcast_to(x.astype(jnp.bfloat16), (2, 12)), (F,)),
  'broadcast_nothing': (lambda x: lax.scan(lambda c, row: (c + row, None), x, jnp.broadcast_to(x, (3, 12)))[0],
                        lambda x: lax.scan(lambda c, _: (c + x, None), x, None, length=3)[0], (F,)),
  'broadcast_without_unit_axes': (lambda x: jnp.broadcast_to(x[:, None], (12, 3)),
                                  lambda x: lax.broadcast_in_dim(x, (12, 3), (0,)), (F,)),
  'broadcast_twice': (lambda x: lax.broadcast_in_dim(lax.broadcast_in_dim(x, (12, 2), (0,)), (3, 12, 2), (1, 2)),
                      lambda x: lax.broadcast_in_dim(x, (3, 12, 2), (1,)), (F,)),
  'broadcast_of_unit_axes': (lambda x: lax.broadcast_in_dim(x, (1, 12), (1,)), lambda x: x.reshape(1, 12), (F,)),
  'reshape_nothing': (lambda x: lax.reshape_p.bind(x, new_sizes=(12,), dimensions=None, sharding=None),
                      lambda x: x, (F,)),
  'reshape_twice': (lambda x: x.reshape(3, 4).reshape(2, 6), lambda x: x.reshape(2, 6), (F,)),
  'reshape_of_copies': (lambda x: lax.broadcast_in_dim(x, (12, 3), (0,)).reshape(12, 1, 3),
                        lambda x: lax.broadcast_in_dim(x, (12, 1, 3), (0,)), (F,)),
  'reshape_of_constant': (lambda x: x + jnp.asarray(np.arange(12.), jnp.float32).reshape(3, 4),
                          lambda x: x + np.arange(12., dtype=np.float32).reshape(3, 4), (M,)),
  'transpose_nothing': (lambda x: lax.transpose_p.bind(x, permutation=(0, 1)), lambda x: x, (M,)),
  'transpose_twice': (lambda x: x.T.T + x, lambda x: x + x, (M,)),
  'transpose_of_unit_axes': (lambda x: x[:, None].transpose(1, 0, 2), lambda x: x.reshape(1, 3, 4), (M,)),
  'transpose_of_broadcast': (lambda x: lax.broadcast_in_dim(x, (12, 3), (0,)).T,
                             lambda x: lax.broadcast_in_dim(x, (3, 12), (1,)), (F,)),
  'slice_of_all': (lambda x: lax.slice_p.bind(x, start_indices=(0,), limit_indices=(12,), strides=None),
                   lambda x: x, (F,)),
  'constant_start': (lambda x: lax.dynamic_slice(x, (jnp.int32(9),), (5,)), lambda x: x[7:], (F,)),
  'slice_of_slice': (lambda x: x[2:9][1:3], lambda x: x[3:5], (F,)),
  'slice_of_concatenation': (lambda x, y: jnp.concatenate([x, y])[13:15], lambda x, y: y[1:3], (F, G)),
  'slice_before_elementwise': (lambda x, y: (x * y)[2:5], lambda x, y: x[2:5] * y[2:5], (F, G)),
  'slice_of_broadcast': (lambda x: lax.broadcast_in_dim(x, (5, 12), (1,))[1:3, 2:4],
                         lambda x: lax.broadcast_in_dim(x[2:4], (2, 2), (1,)), (F,)),
  'concatenation_of_one': (lambda x: lax.concatenate_p.bind(x, dimension=0), lambda x: x, (F,)),
  'concatenation_of_concatenations': (lambda x, y: jnp.concatenate([jnp.concatenate([x, y]), x]),
                                      lambda x, y: jnp.concatenate([x, y, x]), (F, G)),
  'concatenation_of_slices': (lambda x: jnp.concatenate([x[:5], x[5:]]), lambda x: x, (F,)),
  'reduction_of_nothing': (lambda x: lax.reduce_max_p.bind(x, axes=(), out_sharding=None), lambda x: x, (F,)),
  'reduction_of_unit_axes': (lambda x: x[None].sum((0, 2)), lambda x: x.sum(1), (M,)),
  'fold_constants': (lambda x: x * (jnp.float32(2) + jnp.float32(1.5)), lambda x: x * jnp.float32(3.5), (F,)),
  'mirrored': (lambda x, y: x > y, lambda x, y: y < x, (F, G)),
  'truth_of_converted': (lambda x: x.astype(jnp.int32) != 0, lambda x: x, (B,)),
  'logic_with_constant': (lambda x: x & jnp.ones(12, bool), lambda x: x, (B,)),
  'scalar_choice': (lambda x, y: lax.select_n(y[0] > 0, x, y),
                    lambda x, y: lax.select_n(jnp.broadcast_to(y[0] > 0, (12,)), x, y), (F, G)),
  'choice_of_same': (lambda b, x: jnp.where(b, x, x), lambda b, x: x, (B, F)),
  'choice_by_constant': (lambda b, x: lax.select_n(jnp.zeros(12, bool), x, -x), lambda b, x: x, (B, F)),
  'choice_by_negation': (lambda b, x, y: jnp.where(~b, x, y), lambda b, x, y: jnp.where(b, y, x), (B, F, G)),
  'scalar_operand': (lambda x: x * jnp.float32(3), lambda x: x * jnp.full((12,), 3., jnp.float32), (F,)),
  'without_unit_axes': (lambda x, y: x[None] * y[None], lambda x, y: (x * y)[None], (F, G)),
  'square_as_product': (lambda x: jnp.square(x), lambda x: x * x, (F,)),
  'minus_negated': (lambda x, y: x - (-y), lambda x, y: x + y, (F, G)),
  'plus_negated': (lambda x, y: -y + x, lambda x, y: x - y, (F, G)),
  'times_one': (lambda x: x * jnp.float32(1), lambda x: x, (F,)),
  'divided_by_power_of_two': (lambda x: x / jnp.float32(8), lambda x: x * jnp.float32(0.125), (F,)),
  'extreme_of_same': (lambda x: jnp.maximum(x, x), lambda x: x, (F,)),
}


def test_every_rule_has_a_sample():
  assert set(rule_names()) == set(SAMPLES)


@pytest.mark.parametrize('name', SAMPLES)
def test_rule_is_what_makes_its_sample_equal(name):
  left, right, args = SAMPLES[name]
  equal, names = fired(left, right, *args)
  assert equal and name in names


@pytest.mark.parametrize('name', SAMPLES)
def test_both_spellings_have_the_same_bits(name):
  left, right, args = SAMPLES[name]
  assert same_bits(left, right, args)


@pytest.mark.parametrize('function', [function for _, function in RULES], ids=lambda function: function.__name__)
def test_rule_says_why_in_one_line(function):
  assert function.__doc__ and '\n' not in function.__doc__.strip() and function.__doc__.strip().endswith('.')


# Look alike, are not: each must stay apart on the exact rungs.
APART = {
  'three_terms': (lambda x, y: (x + y) + x * x, lambda x, y: x + (y + x * x), (F, G)),
  'distributed': (lambda x, y: (x + y) * x, lambda x, y: x * x + y * x, (F, G)),
  'not_a_power_of_two': (lambda x, y: x / jnp.float32(3), lambda x, y: x * jnp.float32(1 / 3), (F, G)),
  'narrowed_and_back': (lambda x, y: x.astype(jnp.bfloat16).astype(jnp.float32), lambda x, y: x, (F, G)),
  'half_formats': (lambda x, y: x.astype(jnp.float16).astype(jnp.bfloat16), lambda x, y: x.astype(jnp.bfloat16), (F, G)),
  'negative_zero': (lambda x, y: x + jnp.float32(0), lambda x, y: x, (F, G)),
  'negative_zero_constant': (lambda x, y: x * jnp.float32(0.), lambda x, y: x * jnp.float32(-0.), (F, G)),
  'minus_itself': (lambda x, y: x - x, lambda x, y: jnp.zeros(12, jnp.float32), (F, G)),
  'other_axis': (lambda x: x.sum(0), lambda x: x.T.sum(0)[:4] if x.shape[0] == 4 else x.sum(0) + 0, (M,)),
  'reverse_of_reverse_slice': (lambda x, y: x[1:3], lambda x, y: x[2:4], (F, G)),
  'comparison_of_nan': (lambda x, y: ~(x < y), lambda x, y: x >= y, (F, G)),
  'axes_of_broadcast': (lambda x: jnp.broadcast_to(x[:3, 0], (3, 3)), lambda x: jnp.broadcast_to(x[:3, :1], (3, 3)), (M,)),
  'conversion_order': (lambda x, y: (x + y).astype(jnp.bfloat16),
                       lambda x, y: x.astype(jnp.bfloat16) + y.astype(jnp.bfloat16), (F, G)),
}


@pytest.mark.parametrize('name', APART)
def test_what_is_not_the_same_stays_apart(name):
  left, right, args = APART[name]
  assert level(left, right, *args) == ''


@pytest.mark.parametrize('op', sorted(set(COMMUTATIVE) - {'add_any'}))
def test_swapped_operands_are_a_rung_of_their_own(op):
  names = {'and': 'bitwise_and', 'or': 'bitwise_or', 'xor': 'bitwise_xor', 'eq': 'equal', 'ne': 'not_equal',
           'mul': 'multiply', 'max': 'maximum', 'min': 'minimum'}
  function = getattr(jnp, names.get(op, op))
  args = (WHOLE, WHOLE[::-1].copy()) if op in ('and', 'or', 'xor') else (F, G)
  assert level(lambda x, y: function(x, y), lambda x, y: function(y, x), *args) == 'L1'
