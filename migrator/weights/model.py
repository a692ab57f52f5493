"""Builds the abstract NNX model that a conversion is checked against; only here user code is imported."""
from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from migrator.checkpoints import storage
from migrator.checkpoints.expressions import Source, source
from migrator.weights.errors import WeightsError


def abstract_model(name: str, arguments: Mapping[str, Any] | None = None,
                   sizes: Callable[[Callable[..., Any]], Mapping[str, Any]] | None = None) -> Any:
  """Imports 'package.module:Class' and returns the model without arrays.

  Args:
    arguments: constructor arguments; `rngs` is added where the constructor takes it.
    sizes: tells further arguments, given a function that builds the model with them.

  Raises:
    WeightsError: it cannot be imported or built, with the reason.
  """
  from flax import nnx
  return _run(name, arguments, 0, sizes, nnx.eval_shape)


def random_state(name: str, arguments: Mapping[str, Any] | None, seed: int,
                 sizes: Callable[[Callable[..., Any]], Mapping[str, Any]] | None = None
                 ) -> dict[tuple[str, ...], Source]:
  """Returns {path: value} of the random streams of the model made with `nnx.Rngs(seed)`; no weight is made.

  Raises:
    WeightsError: as `abstract_model`; or the model has no random streams.
  """
  import jax
  from flax import nnx

  # Under jit the weights, which are not returned, are not computed.
  state = _run(name, arguments, seed, sizes, lambda build: jax.jit(lambda: nnx.state(build(), nnx.RngState))())
  found = {tuple(map(str, path)): _stored_key(variable.get_value()) for path, variable in nnx.to_flat_state(state)}
  if not found:
    raise WeightsError(f'model {name!r} has no random streams; leave --rngs out')
  return found


def _stored_key(value: Any) -> Source:
  """A typed key as Orbax stores one: its numbers, and the name of its implementation beside them."""
  import jax
  import numpy as np
  typed = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
  numbers = np.asarray(jax.random.key_data(value) if typed else value)
  extra = {'random_key_impl': str(jax.random.key_impl(value))} if typed else None
  return source((), storage.raw(numbers.shape, numbers.dtype, numbers.tobytes(), kind='jax.Array', extra=extra))


def _run(name: str, arguments: Mapping[str, Any] | None, seed: int, sizes: Any,
         run: Callable[[Callable[[], Any]], Any]) -> Any:
  """Imports the class and gives a function that builds the model to `run`."""
  from flax import nnx
  module_name, _, class_name = name.partition(':')
  if not class_name:
    raise WeightsError(f'model {name!r}: write it as package.module:Class')
  try:
    made: Any = importlib.import_module(module_name)
    for part in class_name.split('.'):
      made = getattr(made, part)
  except Exception as error:  # user code may raise anything while it is imported
    raise WeightsError(f'model {name!r} cannot be imported ({type(error).__name__}: {error}); '
                       'run where it can be, or leave --model out') from error
  given = dict(arguments or {})

  def build(**more: Any) -> Any:
    if 'rngs' in inspect.signature(made.__init__ if inspect.isclass(made) else made).parameters:
      return made(**{'rngs': nnx.Rngs(seed), **given, **more})
    return made(**given, **more)

  try:
    # Sharding annotations would ask for a mesh.
    with nnx.use_eager_sharding(False):
      return run(functools.partial(build, **(sizes(build) if sizes else {})))
  except WeightsError:
    raise
  except Exception as error:  # so may its constructor
    raise WeightsError(f'model {name!r} cannot be built with {given} ({type(error).__name__}: {error}); '
                       'give its constructor arguments') from error
