"""Small functions as programs of the prover."""
from __future__ import annotations

import jax
import numpy as np

from migrator.equivalence.proof.ladder import climb, read
from migrator.equivalence.proof.lower import lower
from migrator.equivalence.proof.rules import exact_rules
from migrator.equivalence.proof.table import Table
from migrator.equivalence.proof.tracing import names_of


def program(function, *args):
  """Returns the program of a function; all functions of a test have inputs and outputs of the same names."""
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
  return lower(closed, names_of({'x': list(args)}), names_of({'y': shapes}))


def level(left, right, *args):
  """Returns the short names of the verdicts of all outputs, '' for those left open."""
  found = climb(program(left, *args), program(right, *args))
  names = [*found.reading.linen]
  levels = {found.verdicts[name].level if name in found.verdicts else '' for name in names}
  return levels.pop() if len(levels) == 1 else levels


def fired(left, right, *args, without=frozenset()):
  """Returns (whether all outputs are equal, names of the rules that were applied)."""
  reading = read(program(left, *args), program(right, *args), Table(exact_rules(without)))
  return reading.linen == reading.nnx, set(reading.table.fired)


def same_bits(left, right, args):
  """Whether the two compute the same bits, not-a-number equal to itself."""
  pairs = zip(jax.tree.leaves(jax.jit(left)(*args)), jax.tree.leaves(jax.jit(right)(*args)))
  return all(_bits(a) == _bits(b) for a, b in pairs)


def _bits(value):
  array = np.array(value)
  if array.dtype.kind in 'fV' and array.dtype.kind == 'f':
    array[np.isnan(array)] = np.nan
  return array.dtype, array.shape, array.tobytes()
