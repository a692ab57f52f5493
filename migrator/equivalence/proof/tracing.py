"""Tracing a function of named inputs to named outputs, with shapes alone."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from migrator.equivalence.models import words_of
from migrator.equivalence.proof.lower import Locate, lower
from migrator.equivalence.proof.marks import fresh_counter
from migrator.equivalence.proof.program import Program

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Traced:
  """A traced function.  shapes: of its outputs, as a tree."""

  closed: Any
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]
  shapes: Tree

  def program(self, side: str, locate: Locate | None = None) -> Program:
    """Returns it as plain data."""
    return lower(self.closed, self.inputs, self.outputs, side, locate)


def trace(function: Callable[[Tree], Tree], inputs: Tree) -> Traced:
  """Traces a function of one tree of arrays.

  Args:
    function: gets the tree of `inputs` with tracers, returns a tree.
    inputs: nested dicts and lists of jax.ShapeDtypeStruct.

  Returns:
    The program; names are paths joined by '/'.
  """
  with fresh_counter():
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(inputs)
  return Traced(closed, names_of(inputs), names_of(shapes), shapes)


def names_of(tree: Tree) -> tuple[str, ...]:
  """Returns the path of every leaf, in the order of jax.tree.leaves."""
  return tuple('/'.join(words_of(path)) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0])


def weighted_sum(output: Any, weights: Any) -> jax.Array:
  """Returns the sum of the float arrays of an output times given weights: any gradient, whatever the loss."""
  leaves = dict(zip(names_of({'': output}), jax.tree.leaves(output)))
  return sum((jax.numpy.sum(jax.numpy.real(leaves[name] * weight)) for name, weight in weights.items()),
             start=jax.numpy.float32(0))


def weights_for(output: Any) -> dict[str, jax.ShapeDtypeStruct]:
  """Returns the shapes of the weights for `weighted_sum`; empty when no gradient exists."""
  leaves = zip(names_of({'': output}), jax.tree.leaves(output))
  return {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in leaves
          if jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)}
