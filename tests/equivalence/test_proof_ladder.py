"""The ladder on small programs: loops in every spelling, what must stay apart, symbols for sizes."""
from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from proof_programs import level, program

from migrator.equivalence.proof.draws import draw_marks
from migrator.equivalence.proof.ladder import climb
from migrator.equivalence.proof.program import from_json

X = np.arange(12, dtype=np.float32).reshape(3, 4)
W = np.ones((4, 4), np.float32)


def scan(step, first, rows=X, **more):
  return lax.scan(step, first, rows, **more)


# Spellings of one loop.
PLAIN = lambda w, x: scan(lambda c, r: (jnp.tanh(c @ w) + r, c * 2), x[0], x)
SAME_LOOPS = {
  'weights carried': lambda w, x: (lambda out: (out[0][1], out[1]))(
    scan(lambda c, r: ((c[0], jnp.tanh(c[1] @ c[0]) + r), c[1] * 2), (w, x[0]), x)),
  'something dead is carried': lambda w, x: (lambda out: (out[0][0], out[1]))(
    scan(lambda c, r: ((jnp.tanh(c[0] @ w) + r, c[1] + 1), c[0] * 2), (x[0], 0.), x)),
  'a counter is carried': lambda w, x: (lambda out: (out[0][0], out[1]))(
    scan(lambda c, r: ((jnp.tanh(c[0] @ w) + r, c[1] + 1), c[0] * 2), (x[0], jnp.int32(5)), x)),
  'carried twice': lambda w, x: (lambda out: (out[0][1], out[1]))(
    scan(lambda c, r: ((jnp.tanh(c[1] @ w) + r, jnp.tanh(c[0] @ w) + r), c[0] * 2), (x[0], x[0]), x)),
  'weights as a sequence of copies': lambda w, x: scan(
    lambda c, s: (jnp.tanh(c @ s[0]) + s[1], c * 2), x[0], (jnp.broadcast_to(w, (3, 4, 4)), x)),
  'in a jit and a remat': lambda w, x: jax.jit(lambda w, x: scan(
    jax.checkpoint(lambda c, r: (jnp.tanh(c @ w) + r, c * 2)), x[0], x))(w, x),
}
OTHER_LOOPS = {
  'backwards': lambda w, x: scan(lambda c, r: (jnp.tanh(c @ w) + r, c * 2), x[0], x, reverse=True),
  'other first value': lambda w, x: scan(lambda c, r: (jnp.tanh(c @ w) + r, c * 2), x[1], x),
  'output after the step': lambda w, x: scan(lambda c, r: (jnp.tanh(c @ w) + r, (jnp.tanh(c @ w) + r) * 2), x[0], x),
  'one step less': lambda w, x: scan(lambda c, r: (jnp.tanh(c @ w) + r, c * 2), x[0], x[:2])[0],
  'the last row always': lambda w, x: scan(lambda c, r: (jnp.tanh(c @ w) + x[2], c * 2), x[0], x),
}


@pytest.mark.parametrize('name', SAME_LOOPS)
def test_same_loop_in_another_spelling(name):
  assert level(PLAIN, SAME_LOOPS[name], W, X) == 'L0'


@pytest.mark.parametrize('name', OTHER_LOOPS)
def test_other_loops_stay_apart(name):
  first = (lambda w, x: PLAIN(w, x)[0]) if name == 'one step less' else PLAIN
  found = level(first, OTHER_LOOPS[name], W, X)
  # Some outputs may well be the same, never all.
  assert found == '' or '' in found


def test_loop_and_its_steps_written_out():
  def written(w, x):
    c, rows = x[0], []
    for k in range(3):
      rows.append(c * 2)
      c = jnp.tanh(c @ w) + x[k]
    return c, jnp.stack(rows)
  assert level(PLAIN, written, W, X) == 'L0u'


def rotations(period, functions):
  """What is carried is passed round; the functions tell the places apart."""
  def run(w, x):
    def step(state, row):
      return tuple(functions[k % len(functions)](state[(k + 1) % period]) + row for k in range(period)), None
    return scan(step, (x[0],) * period, x)[0][0]
  return run


def test_rotations_of_different_length_are_told_apart():
  """Systems that agree for some steps, each stable by itself, are not the same."""
  two, three = rotations(2, (jnp.sin, jnp.cos)), rotations(3, (jnp.sin, jnp.cos, jnp.sin))
  assert level(two, two, W, X) == 'L0'
  assert level(two, three, W, X) != 'L0'
  longer = rotations(4, (jnp.sin, jnp.cos))
  assert level(two, longer, W, X) == 'L0'


def test_nested_loops_do_not_mix_their_steps():
  def outer_row(w, x):
    return scan(lambda c, r: (scan(lambda d, s: (d * s + r, None), c, x)[0], None), x[0], x)[0]

  def inner_row(w, x):
    return scan(lambda c, r: (scan(lambda d, s: (d * r + s, None), c, x)[0], None), x[0], x)[0]
  assert level(outer_row, outer_row, W, X) == 'L0'
  assert level(outer_row, inner_row, W, X) == ''


def test_while_and_cond():
  def run(limit):
    return lambda w, x: lax.while_loop(lambda c: c[0] < limit, lambda c: (c[0] + 1, jnp.sin(c[1])), (0, x))
  assert level(run(3), run(3), W, X) == 'L0'
  assert 'L0' != level(run(3), run(4), W, X)
  choose = lambda w, x: lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x)
  other = lambda w, x: lax.cond(x[0, 0] > 0, jnp.cos, jnp.sin, x)
  same = lambda w, x: lax.cond(x[0, 0] > 0, jnp.sin, jnp.sin, x)
  assert level(choose, choose, W, X) == 'L0' and level(choose, other, W, X) == ''
  assert level(same, lambda w, x: jnp.sin(x), W, X) == 'L0'


def test_gradients_of_loops():
  def loss(function):
    return jax.grad(lambda w, x: sum(part.sum() for part in function(w, x)))
  carried = SAME_LOOPS['something dead is carried']
  assert level(loss(PLAIN), loss(carried), W, X) == 'L0'
  assert level(loss(PLAIN), loss(OTHER_LOOPS['backwards']), W, X) == ''


def test_symbols_stand_for_every_size():
  b, = jax.export.symbolic_shape('b', constraints=['b >= 2'])
  x = jax.ShapeDtypeStruct((b, 4), np.float32)
  assert level(lambda x: (x - x.mean(0)).reshape(b, 2, 2), lambda x: jnp.reshape(x - x.mean(0)[None], (-1, 2, 2)), x) == 'L0'
  assert level(lambda x: x.mean(0), lambda x: x.sum(0) / 3, x) == ''


def test_callbacks_are_never_the_same():
  def call(function):
    return lambda x: jax.pure_callback(function, jax.ShapeDtypeStruct((3, 4), np.float32), x)
  assert level(call(np.sin), call(np.sin), X) == ''


def test_programs_survive_the_way_between_processes():
  import json
  found = program(PLAIN, W, X)
  text = json.dumps(found.to_json())
  again = from_json(json.loads(text), found.arrays())
  assert again == found and again.digest() == found.digest() != program(SAME_LOOPS['carried twice'], W, X).digest()
  assert program(PLAIN, W, X).digest() == found.digest()


def test_draws_are_one_symbol_only_where_they_depend_on_the_same_loop():
  from jax.ad_checkpoint import checkpoint_name
  key = jax.random.key(0)

  def run(split):
    def step(c, k):
      return c + jax.random.normal(checkpoint_name(k if split else key, 'draw|a|dropout|0'), c.shape), None
    return lambda x, keys: lax.scan(step, x, keys)[0]

  args = X, jax.random.split(key, 3)
  both = [program(run(split), *args) for split in (True, True, False)]
  assert both[0].digest() == both[1].digest()
  for other, expected in ((both[1], True), (both[2], False)):
    found = climb(both[0], other, lambda table, other=other: (draw_marks(table, both[0], str), draw_marks(table, other, str)))
    assert bool(found.verdicts) == expected


def test_random_numbers_of_a_constant_seed_are_the_same_program():
  draws = lambda seed: lambda x: x + jax.random.normal(jax.random.PRNGKey(seed), x.shape)
  assert level(draws(42), draws(42), X) == 'L0'
  assert level(draws(42), draws(43), X) == ''
  typed = lambda kind: lambda x: x + jax.random.normal(jax.random.key(1, impl=kind), x.shape)
  assert level(typed('rbg'), typed('rbg'), X) == 'L0'
  assert level(typed('rbg'), typed('threefry2x32'), X) == ''


@pytest.mark.parametrize('identity', [lambda x: x * np.complex64(1), lambda x: x / np.complex64(1), lambda x: x / np.complex64(2) * 2])
def test_identities_of_real_numbers_are_not_those_of_complex_ones(identity):
  numbers = np.array([1 + 2j, complex(np.inf, 1), 3j], np.complex64)
  assert level(identity, lambda x: x, numbers) != 'L0'
  assert level(identity, identity, numbers) == 'L0'
