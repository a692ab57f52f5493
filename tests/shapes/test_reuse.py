"""Answers of JAX are reused for sizes that differ in more than their names, and are the same as fresh ones."""
from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest

from migrator.shapes import oracle
from migrator.shapes.dims import parsed, text_of
from migrator.shapes.values import Array

_QUESTIONS: dict[str, tuple[Any, list[tuple[str, ...]]]] = {
  'concatenate': (
    lambda v: jnp.concatenate(v, axis=-1), [('b', '2*c + d'), ('b', 'c - 1')]),
  'outer': (lambda v: v[0][:, :, None] * v[1][:, None], [('b', 'floordiv(h, 2) + 1'), ('b', '3*c')]),
  'flatten': (lambda v: v[0].reshape(v[0].shape[0], -1), [('b', '2*h', 'c + 1')]),
  'split heads': (lambda v: v[0].reshape(*v[0].shape[:-1], -1, 2), [('b', 'n', '4*c')]),
  'half': (lambda v: jnp.split(v[0], 2, axis=-1), [('b', '2*c')]),
  'doubled': (lambda v: v[0] + v[1], [('b', '2*c'), ('b', 'c + c')]),
  'pool': (lambda v: v[0][:, ::2], [('b', '4*h')]),
}


@pytest.mark.parametrize('name', _QUESTIONS)
def test_an_answer_does_not_depend_on_what_was_asked_before(name: str) -> None:
  function, shapes = _QUESTIONS[name]
  arrays = [Array(tuple(map(parsed, shape))) for shape in shapes]
  fresh = oracle.trace(function, arrays)
  others = [Array(tuple(parsed(text + ' + z') if text != 'b' else parsed('y') for text in shape)) for shape in shapes]
  try:
    oracle.trace(function, others, key=('test', name))
  except oracle.OracleFailure:
    pass
  assert _texts(oracle.trace(function, arrays, key=('test', name))) == _texts(fresh)


def test_one_answer_serves_all_sizes() -> None:
  asked = []

  def function(values: Any) -> Any:
    asked.append(values)
    return jnp.concatenate(values, axis=-1)

  for text in ('c', '2*c', 'c + d', 'floordiv(c, 2) + 1', '7*d'):
    result = oracle.trace(
      function, [Array((parsed('b'), parsed(text))), Array((parsed('b'), 3))], key=('test', 'once'))
    assert _texts(result) == [('b', text_of(parsed(f'{text} + 3')))]
  assert len(asked) == 2  # of a size that has a name, and of any other


@pytest.mark.parametrize('text', ['c', '2*c', '3*d', 'c + d'])
def test_a_refusal_names_the_sizes_of_the_question(text: str) -> None:
  values = [Array((parsed('b'), parsed(text))), Array((3, 4))]
  with pytest.raises(oracle.OracleFailure) as caught:
    oracle.trace(lambda v: jnp.matmul(*v), values, key=('test', 'refused'))
  told = str(caught.value)
  assert '(3,)' in told
  assert [name for name in 'bcd' if f'({name}' in told or f'*{name}' in told or f'{name},' in told] == [
    name for name in 'cd' if name in text]


def _texts(result: Any) -> list[tuple[str, ...]]:
  arrays = result if isinstance(result, (list, tuple)) else [result]
  return [tuple(map(text_of, array.shape)) for array in arrays]
