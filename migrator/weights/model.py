"""Builds the abstract NNX model that a conversion is checked against; only here user code is imported."""
from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

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
      return made(**{'rngs': nnx.Rngs(0), **given, **more})
    return made(**given, **more)

  try:
    # Sharding annotations would ask for a mesh.
    with nnx.use_eager_sharding(False):
      return nnx.eval_shape(functools.partial(build, **(sizes(build) if sizes else {})))
  except WeightsError:
    raise
  except Exception as error:  # so may its constructor
    raise WeightsError(f'model {name!r} cannot be built with {given} ({type(error).__name__}: {error}); '
                       'give its constructor arguments') from error
