"""What a worker answers to a request for a program."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from migrator.equivalence.proof.jax_internals import frames
from migrator.equivalence.proof.tracing import Traced
from migrator.equivalence.protocol import Message, in_group

OWN = f'{Path(__file__).resolve().parents[2]}/'
INSTALLED = {'site-packages', 'dist-packages'}


def traced_answer(programs: Any, body: dict[str, Any], side: str, root: Path) -> tuple[Traced, Message]:
  """Traces `body['kind']` in `body['mode']` for the shapes of `body['plan']`; 'keys' as for numbers.

  With `body['calls']` the borders of modules are marked, and equations know their source lines.
  """
  calls = body.get('calls', False)
  traced = programs.traced(body['kind'], body['mode'], body['plan'], body['keys'] == 'constant', calls)
  program = traced.program(side, line_under(root) if calls else None)
  return traced, Message({'program': program.to_json(), 'hash': program.digest()},
                         in_group('constants', program.arrays()))


def fingerprint_answer(traced: Traced, body: dict[str, Any], arrays: Any) -> Message:
  """Evaluates the last program at the random points of `body['seeds']`, precision as `body['rounds']`."""
  from migrator.equivalence.proof.field.fingerprints import fingerprints
  whole = {f'inputs/{k}': array for k, array in enumerate(arrays) if array.dtype.kind in 'iub'}
  found = [fingerprints(traced, body['draws'], seed, body['rounds'], whole, body['borders'])
           for seed in body['seeds']]
  return Message({'outputs': {name: [one[name] for one in found] for name in found[0]}})


def line_under(root: Path) -> Callable[[Any], str]:
  """Returns a function from an equation to the innermost line of the user's source that made it.

  Installed packages, Flax among them, may lie in an environment below the root; they are no source of the user.
  """
  top = f'{root.resolve()}/'
  known: dict[str, str] = {}

  def relative(file: str) -> str:
    if file not in known:
      full = str(Path(file).resolve())
      inside = full.startswith(top) and not full.startswith(OWN)
      place = Path(full).relative_to(top) if inside else Path()
      known[file] = '' if not inside or INSTALLED & set(place.parts) else place.as_posix()
    return known[file]

  def line(equation: Any) -> str:
    return next((f'{relative(file)}:{number}' for file, number in frames(equation) if relative(file)), '')

  return line


def described(leaf: Any) -> tuple[list[int], str]:
  """Returns shape and dtype as JSON has them."""
  return list(leaf.shape), str(leaf.dtype)


def abstract(shape: list[int], dtype: str) -> jax.ShapeDtypeStruct:
  """Returns the abstract array of `described`; random keys too."""
  kind: Any = jax.eval_shape(lambda: jax.random.key(0)).dtype if dtype.startswith('key') else jnp.dtype(dtype)
  return jax.ShapeDtypeStruct(tuple(shape), kind)
