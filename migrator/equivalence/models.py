"""What both workers share: the class, the call inputs, trees as arrays by path, a scalar loss."""
from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from migrator.equivalence.cases import Case
from migrator.equivalence.errors import RequestError
from migrator.equivalence.expressions import ExpressionError, evaluate
from migrator.equivalence.extra_inputs import KINDS
from migrator.equivalence.inputs import Expression, generator, make_array, parse_spec

ArrayPath = tuple[str, ...]


def find_class(model: str, root: Path) -> type:
  """Imports 'package.module:Class' from the root.

  Raises:
    RequestError: no such module or class, or the module was found somewhere else.
  """
  module_name, _, qualified = model.partition(':')
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if error.name is None or not f'{module_name}.'.startswith(f'{error.name}.'):
      raise
    raise RequestError(f'{model}: there is no module {error.name} under the root') from None
  file = Path(getattr(module, '__file__', None) or '.').resolve()
  if not file.is_relative_to(root.resolve()):
    raise RequestError(f'{model}: module {module_name} was imported from elsewhere, not from the root; '
                       'it must not be installed under the same name without its source root')
  found: Any = module
  for part in qualified.split('.'):
    found = getattr(found, part, None)
  if not isinstance(found, type):
    raise RequestError(f'{model}: module {module_name} has no class {qualified}')
  return found


def value_of(text: Any, names: dict[str, Any]) -> Any:
  """Returns a constructor argument: a text is an expression, anything else is itself.

  Raises:
    RequestError: the expression failed.
  """
  if not isinstance(text, str):
    return tuple(text) if isinstance(text, list) else text
  try:
    return evaluate(text, names)
  except ExpressionError as error:
    raise RequestError(str(error)) from None


def flag_of(value: Any, names: dict[str, Any]) -> Any:
  """Returns a flag of the call: '=text' is an expression, anything else is itself."""
  return value_of(value[1:], names) if isinstance(value, str) and value.startswith('=') else value


@dataclasses.dataclass(frozen=True)
class CallInputs:
  """The inputs of the call: `arrays` are traced, all else is fixed."""

  arrays: tuple[np.ndarray, ...]
  places: tuple[int, ...]
  fixed: tuple[Any, ...]
  structure: Any

  @classmethod
  def of_case(cls, case: Case, names: dict[str, Any]) -> CallInputs:
    args = tuple(_input(case.name, f'inputs[{k}]', spec, names) for k, spec in enumerate(case.inputs))
    keywords = {key: _input(case.name, f'keywords.{key}', spec, names) for key, spec in case.keywords.items()}
    return cls.of_values(args, keywords)

  @classmethod
  def of_values(cls, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> CallInputs:
    """Takes the arguments as they are; arrays among them, also inside trees, are traced."""
    leaves, structure = jax.tree.flatten((args, dict(keywords)))
    places = tuple(k for k, leaf in enumerate(leaves)
                   if isinstance(leaf, np.ndarray | jax.Array | np.generic))
    return cls(tuple(leaves[k] for k in places), places, tuple(leaves), structure)

  def rebuild(self, arrays: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns positional and keyword arguments with these arrays in the places of the original ones."""
    leaves = list(self.fixed)
    for place, array in zip(self.places, arrays, strict=True):
      leaves[place] = array
    return jax.tree.unflatten(self.structure, leaves)

  def floats(self) -> tuple[int, ...]:
    """Returns the positions, among the arrays, of those a gradient exists for."""
    return tuple(k for k, array in enumerate(self.arrays) if jnp.issubdtype(array.dtype, jnp.floating))

  def with_floats(self, floats: Any) -> list[Any]:
    """Returns the arrays with the float ones replaced."""
    arrays: list[Any] = list(self.arrays)
    for position, array in zip(self.floats(), floats, strict=True):
      arrays[position] = array
    return arrays

  def extra(self, kinds: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """Returns the arrays of the kinds of extra inputs that are other than these."""
    made = {kind: KINDS[kind](self.arrays) for kind in kinds}
    return {kind: arrays for kind, arrays in made.items() if arrays is not None}

  def digest(self) -> str:
    """Returns a hash of all arrays; both sides must agree on it."""
    state = hashlib.sha256(str(self.structure).encode())
    for array in map(_plain, self.arrays):
      state.update(f'{array.dtype}{array.shape}'.encode() + array.tobytes())
    return state.hexdigest()


def _input(case: str, where: str, text: str, names: dict[str, Any]) -> Any:
  spec = parse_spec(text)
  return value_of(spec.text, names) if isinstance(spec, Expression) else make_array(spec, case, where)


def arrays_of(tree: Any) -> dict[ArrayPath, np.ndarray]:
  """Returns the arrays of a tree by path; random keys as their data, gradients of whole numbers left out."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  named = {words_of(path): _plain(leaf) for path, leaf in leaves}
  return {path: array for path, array in named.items() if array.dtype != jax.dtypes.float0}


def words_of(path: Any) -> ArrayPath:
  """Returns a path of jax.tree_util as texts."""
  return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def _plain(leaf: Any) -> np.ndarray:
  if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  return np.asarray(leaf)


def nested(arrays: Mapping[ArrayPath, Any]) -> dict[str, Any]:
  """Returns the arrays as a tree of dicts."""
  tree: dict[str, Any] = {}
  for path, array in arrays.items():
    *folders, name = path
    inner: dict[str, Any] = functools.reduce(lambda node, part: node.setdefault(part, {}), folders, tree)
    inner[name] = array
  return tree


def moved_by_rounding(tree: Any, word: str) -> Any:
  """Returns the tree, every float one representable number up or down; the word seeds which."""
  def moved(path: Any, leaf: Any) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      return leaf
    up = generator('moved', word, *words_of(path)).random(leaf.shape) < 0.5
    infinite = jnp.asarray(jnp.inf, leaf.dtype)
    return jnp.nextafter(jnp.asarray(leaf), jnp.where(up, infinite, -infinite))
  return jax.tree_util.tree_map_with_path(moved, tree)


def projection(output: Any) -> jax.Array:
  """Returns a random linear functional of the float arrays of an output, fixed by their paths.

  Raises:
    RequestError: the output has no float array, so there is no gradient.
  """
  total = None
  for path, leaf in jax.tree_util.tree_flatten_with_path(output)[0]:
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
      continue
    weights = generator('projection', *words_of(path)).standard_normal(jnp.shape(leaf)).astype(np.float32)
    term = jnp.sum(jnp.real(leaf).astype(jnp.float32) * weights)
    total = term if total is None else total + term
  if total is None:
    raise RequestError('the output has no float array, so there is no gradient')
  return total


def library_names() -> dict[str, Any]:
  """Returns the names every expression of a case may use."""
  import flax
  import optax
  return {'optax': optax, 'jax': jax, 'jnp': jnp, 'np': np, 'flax': flax, 'functools': functools,
          'partial': functools.partial}
