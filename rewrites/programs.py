"""Builds the programs of the usual example: one layer, made and called in a compact method."""

from __future__ import annotations

from rewrites.record import Example

_BEFORE = """\
from flax import linen as nn


class Net(nn.Module):

  @nn.compact
  def __call__(self, {call}):
    return {layer}({given})
"""

_AFTER = """\
from flax import nnx


class Net(nnx.Module):

  def __init__(self, {parameters}rngs: nnx.Rngs):
    self.{member} = {layer}

  def __call__(self, {call}):
    return self.{member}({given})
"""

_NOT_FLAX = """\
from library import {name}


def build():
  return {name}()
"""


def one_layer(
  before: str,
  after: str,
  member: str,
  *,
  parameters: str = '*, in_features: int, ',
  call: str = 'x',
  given: str = 'x',
  given_after: str | None = None,
) -> Example:
  """Returns the program with one layer.

  Args:
    before: Linen constructor expression.
    after: NNX constructor expression.
    member: attribute that holds the layer.
    parameters: constructor parameters before `rngs`.
    call: parameters of `__call__`.
    given: what the layer is called with.
    given_after: the same for NNX when it differs.
  """
  return Example(
    _BEFORE.format(call=call, layer=before, given=given),
    _AFTER.format(
      parameters=parameters,
      member=member,
      layer=after,
      call=call,
      given=given if given_after is None else given_after,
    ),
  )


def other_library(name: str) -> Example:
  """Returns the no-op: a class of the same name that does not come from Flax."""
  return Example(_NOT_FLAX.format(name=name), None)
