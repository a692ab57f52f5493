"""Proving one sample of a layer record: the Linen layer and its NNX counterpart, by shapes alone."""
from __future__ import annotations

from typing import Any

import flax
import jax
from flax import linen as nn
from flax import nnx

from migrator.equivalence.ports.assertion import compare_port
from rewrites import registry
from rewrites.record import Layer, Sample
from tests.rewrites.record_scope import evaluate, keywords


def versions() -> str:
  """Returns the column of the running versions."""
  return f'flax {flax.__version__}, jax {jax.__version__}'


def samples() -> list[tuple[str, Layer, Sample]]:
  """Returns every sample with its row: 'flax.linen.Dense: nn.Dense(5) = nnx.Linear(3, 5, rngs=rngs) of normal(4, 3)'."""
  found = {}
  for layer in registry.layers():
    for sample in layer.samples:
      call = ', '.join(filter(None, [*sample.inputs, sample.linen_call]))
      found[f'{layer.linen[0]}: {sample.linen} = {sample.nnx} of {call}'] = (layer, sample)
  return [(row, *pair) for row, pair in found.items()]


def judge(sample: Sample) -> dict[str, str]:
  """Returns the verdict of each mode; the only key is 'not proved' where the pair cannot be traced as it is."""
  if sample.linen_init is not None or sample.prepare:
    return {'not proved': 'its variables are made by another call'}
  given, nnx_given = keywords(sample.linen_call), keywords(sample.nnx_call)

  class LinenCall(nn.Module):
    @nn.compact
    def __call__(self, *inputs: Any) -> Any:
      return evaluate(sample.linen)(*inputs, **given)

  class NnxCall(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
      self.layer = evaluate(sample.nnx, rngs=rngs)

    def __call__(self, *inputs: Any) -> Any:
      return self.layer(*inputs, **nnx_given)

  try:
    result, _, _ = compare_port(
      LinenCall(), NnxCall, *map(evaluate, sample.inputs), modes={'eval': {}}, mutable=sample.collections,
      gradients=sample.gradient, numbers=False)
  except Exception as error:  # whatever the two layers do, the table says it
    return {'not proved': f'{type(error).__name__}: {str(error).splitlines()[0]}'}
  return {proof.mode: str(proof.verdict) for proof in result.proofs if proof.mode in ('eval', 'eval state', 'gradient', 'init')}
