"""What a worker answers to a request for a program."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from migrator.equivalence.proof.tracing import Traced
from migrator.equivalence.protocol import Message, in_group


def traced_answer(programs: Any, body: dict[str, Any], side: str, root: Path) -> tuple[Traced, Message]:
  """Traces `body['kind']` in `body['mode']` for the shapes of `body['plan']`; 'keys' as for numbers."""
  traced = programs.traced(body['kind'], body['mode'], body['plan'], body['keys'] == 'constant')
  program = traced.program(side)
  return traced, Message({'program': program.to_json(), 'hash': program.digest()},
                         in_group('constants', program.arrays()))


def fingerprint_answer(traced: Traced, body: dict[str, Any], arrays: Any) -> Message:
  """Evaluates the last program at the random points of `body['seeds']`, precision as `body['rounds']`."""
  from migrator.equivalence.proof.field.fingerprints import fingerprints
  whole = {f'inputs/{k}': array for k, array in enumerate(arrays) if array.dtype.kind in 'iub'}
  found = [fingerprints(traced, body['draws'], seed, body['rounds'], whole) for seed in body['seeds']]
  return Message({'outputs': {name: [one[name] for one in found] for name in traced.outputs}})


def described(leaf: Any) -> tuple[list[int], str]:
  """Returns shape and dtype as JSON has them."""
  return list(leaf.shape), str(leaf.dtype)


def abstract(shape: list[int], dtype: str) -> jax.ShapeDtypeStruct:
  """Returns the abstract array of `described`; random keys too."""
  kind: Any = jax.eval_shape(lambda: jax.random.key(0)).dtype if dtype.startswith('key') else jnp.dtype(dtype)
  return jax.ShapeDtypeStruct(tuple(shape), kind)
