"""Marks on what goes into every module and what comes out of it, and on the gradients that come back.

'call|encoder/norm|__call__|in|0|2' is the first array argument of the third call; 'back|...' is the gradient
that flows through the same place.
"""
from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from migrator.equivalence.proof.marks import counter

CALL, BACK = 'call', 'back'
METHODS = ('__call__', 'attend')
PATH = 'linen2nnx_path'


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _both_ways(value: Any, mark: str) -> Any:
  return checkpoint_name(value, mark)


def _forwards(value: Any, mark: str) -> tuple[Any, None]:
  return checkpoint_name(value, mark), None


def _backwards(mark: str, nothing: None, gradient: Any) -> tuple[Any]:
  return (checkpoint_name(gradient, BACK + mark.removeprefix(CALL)),)


_both_ways.defvjp(_forwards, _backwards)


def _marked(tree: Any, path: str, method: str, way: str) -> Any:
  """Returns the tree with every array of it marked; flags and other values do not count.

  An array given twice is marked once: `attention(x, x)` and `attention(x)` are the same call.
  """
  leaves, structure = jax.tree.flatten(tree)
  marked: dict[int, Any] = {}
  for leaf in leaves:
    if isinstance(leaf, jax.Array) and id(leaf) not in marked:
      mark = counter().numbered(CALL, path, method, way, str(len(marked)))
      is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
      marked[id(leaf)] = _both_ways(leaf, mark) if is_float else checkpoint_name(leaf, mark)
  return jax.tree.unflatten(structure, [marked.get(id(leaf), leaf) for leaf in leaves])


@contextlib.contextmanager
def marked_linen_calls() -> Iterator[None]:
  """Calls of Linen modules inside the context are marked."""
  def intercepted(call: Any, args: Any, keywords: Any, context: Any) -> Any:
    if context.method_name not in METHODS:
      return call(*args, **keywords)
    path = '/'.join(context.module.path)
    args, keywords = _marked((args, keywords), path, context.method_name, 'in')
    return _marked(call(*args, **keywords), path, context.method_name, 'out')

  with nn.intercept_methods(intercepted):
    yield


@contextlib.contextmanager
def marked_nnx_calls(model: nnx.Module) -> Iterator[None]:
  """Calls of the modules of a model inside the context are marked.

  The path is an attribute of the module, so that it survives splitting and merging in scans.
  """
  replaced: dict[tuple[type, str], Any] = {}
  for path, module in nnx.iter_modules(model):
    setattr(module, PATH, '/'.join(map(str, path)))
    for method in METHODS:
      owner = next((kind for kind in type(module).__mro__ if method in vars(kind)), None)
      if owner is not None and (owner, method) not in replaced:
        replaced[owner, method] = vars(owner)[method]
  for (owner, method), original in replaced.items():
    setattr(owner, method, _wrapped(original, method))
  try:
    yield
  finally:
    for (owner, method), original in replaced.items():
      setattr(owner, method, original)


def _wrapped(original: Any, method: str) -> Any:
  @functools.wraps(original)
  def called(self: Any, *args: Any, **keywords: Any) -> Any:
    path = vars(self).get(PATH)
    # A class that calls the method of its base is one call.
    if path is None or counter().is_inside(path):
      return original(self, *args, **keywords)
    args, keywords = _marked((args, keywords), path, method, 'in')
    with counter().inside(path):
      output = original(self, *args, **keywords)
    return _marked(output, path, method, 'out')

  return called
