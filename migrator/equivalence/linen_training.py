"""Training steps of the Linen side: as they are, and from parameters that rounding could have given."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from migrator.equivalence.inputs import generator
from migrator.equivalence.models import arrays_of, projection, words_of

# (variables) -> (output, changed collections)
Call = Callable[[Any], tuple[Any, Any]]
Arrays = dict[tuple[str, ...], np.ndarray]


def trained(call: Call, variables: dict[str, Any], chain: Any, count: int, moved: Sequence[str]) -> Iterator[Arrays]:
  """Yields the losses and parameters after training: once as it is, and once for every word of `moved`.

  Args:
    call: the model in training.  variables: to begin with.
    chain: of optax.
    count: steps.
    moved: each word seeds a run whose parameters begin one representable number beside their own.
  """
  rest = {name: tree for name, tree in variables.items() if name != 'params'}

  def loss(params: Any, rest: Any) -> tuple[jax.Array, Any]:
    output, changed = call({**rest, 'params': params})
    return projection(output), {**rest, **changed}

  @jax.jit
  def step(params: Any, state: Any, rest: Any) -> tuple[Any, Any, Any, Any]:
    (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(params, rest)
    updates, state = chain.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, rest, value

  own = variables.get('params', {})
  for params in (own, *(_moved(own, word) for word in moved)):
    state, kept, losses = chain.init(params), rest, []
    for _ in range(count):
      params, state, kept, value = step(params, state, kept)
      losses.append(np.asarray(value))
    yield {('losses',): np.stack(losses), **arrays_of({'params': params})}


def _moved(params: Any, word: str) -> Any:
  """Returns the parameters, every float one representable number up or down."""
  def moved(path: Any, leaf: Any) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      return leaf
    up = generator('moved', word, *words_of(path)).random(leaf.shape) < 0.5
    infinite = jnp.asarray(jnp.inf, leaf.dtype)
    return jnp.nextafter(leaf, jnp.where(up, infinite, -infinite))
  return jax.tree_util.tree_map_with_path(moved, params)
