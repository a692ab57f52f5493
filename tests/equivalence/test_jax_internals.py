"""The private names of jax that the prover uses are all in one file; a version that moves one fails here by name."""
from __future__ import annotations

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

from migrator.equivalence.proof import jax_internals as internals

FOLDER = Path(internals.__file__).parent


def equation_of(function, *args, name):
  closed = jax.make_jaxpr(function)(*args)
  return next(item for item in closed.jaxpr.eqns if item.primitive.name == name)


@pytest.mark.parametrize('module, name', [
  ('jax.extend.core', 'ClosedJaxpr'), ('jax.extend.core', 'Jaxpr'), ('jax.extend.core', 'Literal'),
  ('jax.interpreters.partial_eval', 'dce_jaxpr'), ('jax.export', 'is_symbolic_dim'),
  ('jax.ad_checkpoint', 'checkpoint_name'), ('flax.core', 'Scope'), ('flax.nnx', 'RngStream')])
def test_names_are_where_they_were(module, name):
  import importlib
  assert hasattr(importlib.import_module(module), name), f'{module}.{name} moved: adapt proof/jax_internals.py'


def test_scan_says_how_many_operands_are_constant_and_carried():
  def loop(w, x):
    return jax.lax.scan(lambda carry, item: (carry * w + item, carry), x[0], x)
  item = equation_of(loop, jnp.float32(2), jnp.arange(3.), name='scan')
  assert internals.scan_counts(item.params) == (1, 1)


def test_jaxprs_are_opened_and_dead_code_goes():
  closed = jax.make_jaxpr(lambda x, y: (jnp.sin(x), jnp.cos(y))[0])(1., 2.)
  jaxpr, constants = internals.without_dead_code(closed)
  assert [item.primitive.name for item in jaxpr.eqns] == ['sin'] and constants == []
  assert internals.opened(closed)[0].eqns and internals.opened(3) is None


def test_frames_name_this_file():
  item = equation_of(lambda x: jnp.sin(x), 1., name='sin')
  assert any(file == __file__ for file, _ in internals.frames(item))


def test_literals_have_the_dtype_of_the_program():
  item = equation_of(lambda x: x * 0.1, jnp.float32(1), name='mul')
  literal = next(operand for operand in item.invars if isinstance(operand, core.Literal))
  assert internals.literal_value(literal).dtype == jnp.float32


def test_marked_keys_survive_gradients_of_loops():
  from jax.ad_checkpoint import checkpoint_name

  def loss(w, key):
    def step(carry, key):
      return carry * w + jax.random.normal(checkpoint_name(key, 'draw')), None
    return jax.lax.scan(step, 0., jax.random.split(key, 3))[0]
  text = str(jax.make_jaxpr(jax.grad(loss))(1., jax.random.key(0)))
  assert 'name=draw' in text


def test_no_other_file_of_the_prover_names_private_modules():
  for file in FOLDER.rglob('*.py'):
    for node in ast.walk(ast.parse(file.read_text())):
      names = [node.module or ''] if isinstance(node, ast.ImportFrom) else \
        [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
      for name in names:
        private = '._src' in name or name.startswith(('jax.interpreters', 'jax.extend', 'flax.nnx.'))
        assert not private or file.name == 'jax_internals.py', f'{file.name} imports {name}'
