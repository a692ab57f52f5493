"""nn.Einsum -> nnx.Einsum: the arguments swap places, and the bias has to be asked for by its shape."""

from __future__ import annotations

from typing import Any

from rewrites.defaults import BIAS_INIT, KERNEL_INIT, PRECISION, PROMOTE_DTYPE, dtypes, gone, same
from rewrites.facts import literal
from rewrites.programs import one_layer, other_library
from rewrites.record import Argument, CallArgument, Facts, Layer, NotDerivable, Sample, Size


def bias_axes(equation: str) -> tuple[int, ...]:
  """Returns the kernel axes that survive in the result, in the order of the result.

  Raises:
    NotDerivable: the equation is not of the form 'x,kernel->result'.
  """
  inputs, arrow, result = equation.replace(' ', '').partition('->')
  operands = inputs.split(',')
  if not arrow or len(operands) != 2:
    raise NotDerivable(f'the equation {equation!r} is not of the form "x,kernel->result"')
  kernel = operands[1].replace('...', '')
  return tuple(kernel.index(letter) for letter in result.replace('...', '') if letter in kernel)


def _bias_shape(facts: Facts) -> tuple[Any, ...] | None:
  if not literal(facts, 'use_bias', True):
    return None
  kernel_shape, equation = literal(facts, 'shape'), literal(facts, 'einsum_str')
  if not isinstance(kernel_shape, (tuple, list)) or not isinstance(equation, str):
    raise NotDerivable('the bias shape follows from the equation and the kernel shape; write both out')
  return tuple(kernel_shape[axis] for axis in bias_axes(equation))


def _refuse(facts: Facts) -> str | None:
  if facts.arguments.get('einsum_str') is None:
    return 'the equation is given at the call; NNX wants it in the constructor'
  return None


RECORD = Layer(
  linen=('flax.linen.Einsum',),
  nnx='flax.nnx.Einsum',
  member='einsum',
  arguments=(
    same('shape', nnx='kernel_shape', keyword=False),
    Argument('einsum_str', 'einsum_str', None, keyword=False),
    gone('use_bias', True, None),  # said by the size bias_shape
    *dtypes(),
    PRECISION,
    KERNEL_INIT,
    BIAS_INIT,
    PROMOTE_DTYPE,
    same('preferred_element_type', None),
  ),
  sizes=(Size('bias_shape', _bias_shape, keyword=True),),
  call=(CallArgument('inputs', 'inputs'), CallArgument('einsum_str', 'einsum_str')),
  reorder=True,
  refuse=_refuse,
  examples=(
    one_layer(
      "nn.Einsum((3, 5), 'na,ab->nb')",
      "nnx.Einsum(kernel_shape=(3, 5), einsum_str='na,ab->nb', bias_shape=(5,), rngs=rngs)",
      'einsum',
      parameters='*, ',
    ),
    other_library('Einsum'),
  ),
  samples=(
    Sample(
      "nn.Einsum((2, 3, 5), 'nta,hab->nthb')",
      "nnx.Einsum('nta,hab->nthb', (2, 3, 5), (2, 5), rngs=rngs)",
      ('normal(4, 6, 3)',),
    ),
    Sample(
      "nn.Einsum((2, 3, 5), 'nta,hab->nthb', use_bias=False)",
      "nnx.Einsum('nta,hab->nthb', (2, 3, 5), rngs=rngs)",
      ('normal(4, 6, 3)',),
    ),
    Sample("nn.Einsum((2, 3, 5), 'na,hab->nbh')", "nnx.Einsum('na,hab->nbh', (2, 3, 5), (5, 2), rngs=rngs)"),
    Sample(
      "nn.Einsum((3, 5), '...a,ab->...b', dtype=jnp.bfloat16)",
      "nnx.Einsum('...a,ab->...b', (3, 5), (5,), dtype=jnp.bfloat16, rngs=rngs)",
    ),
  ),
)
