"""Training steps of the Linen side: as they are, and from parameters that rounding could have given."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import optax

from migrator.equivalence.models import arrays_of, moved_by_rounding, projection

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
  for params in (own, *(moved_by_rounding(own, word) for word in moved)):
    state, kept, losses = chain.init(params), rest, []
    for _ in range(count):
      params, state, kept, value = step(params, state, kept)
      losses.append(np.asarray(value))
    yield {('losses',): np.stack(losses), **arrays_of({'params': params})}
