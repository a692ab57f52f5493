"""False proofs: mutants proved to be the same program must have the same bits.

`python -m benchmarks.equivalence.soundness COUNT` mutates random programs and model gradients.
"""
from __future__ import annotations

import collections
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend import core

from benchmarks.equivalence.mutants import mutant, sites
from benchmarks.equivalence.programs import MODELS, arguments, model_gradient, random_function
from migrator.equivalence.proof.interpret import Interpreter
from migrator.equivalence.proof.jax_internals import without_dead_code
from migrator.equivalence.proof.ladder import deep_recursion
from migrator.equivalence.proof.lower import lower
from migrator.equivalence.proof.rules import exact_rules
from migrator.equivalence.proof.table import Table

# Mutants per program, and per table: a table keeps what it has read.
OF_RANDOM, OF_MODEL = 25, 400
REFUSED, IDENTICAL, NOT_RUN, FALSE = 'refused', 'proved and identical', 'proved, does not run', 'FALSE PROOF'


def count_false_proofs(wanted: int, seed: int = 0, models: bool = True,
                       told: Callable[[str], None] = print) -> collections.Counter[str]:
  """Returns how many mutants were refused, proved and identical, or proved and different.

  Args:
    wanted: number of mutants.  models: mutate the models' gradients too.  told: gets a line per false proof.
  """
  source, tally = random.Random(seed), collections.Counter[str]()
  if models:
    for name in MODELS:
      function, args = model_gradient(name)
      _mutate(function, args, min(OF_MODEL, wanted // 10), source, tally, name, told)
  while sum(tally.values()) < wanted:
    function = random_function(source)
    left = wanted - sum(tally.values())
    _mutate(function, arguments(), min(OF_RANDOM, left), source, tally, f'random program {sum(tally.values())}', told)
  return tally


def _mutate(function: Any, args: Any, count: int, source: random.Random, tally: collections.Counter[str],
            name: str, told: Callable[[str], None]) -> None:
  closed = jax.make_jaxpr(function)(*args)
  jaxpr, constants = without_dead_code(closed)
  names = [f'x{k}' for k in range(len(jaxpr.invars))], [f'y{k}' for k in range(len(jaxpr.outvars))]
  flat = jax.tree.leaves(args)
  places = list(sites(jaxpr))
  table = Table(exact_rules())
  original = Interpreter(lower(core.ClosedJaxpr(jaxpr, constants), *names), table).run()
  expected: Any = None
  for _ in range(count):
    made = mutant(jaxpr, source.choice(places), source)
    if made is None:
      continue
    changed = core.ClosedJaxpr(made[0], constants)
    with deep_recursion():
      found = Interpreter(lower(changed, *names), table).run()
    if found != original:
      tally[REFUSED] += 1
      continue
    if expected is None:
      expected = _run(core.ClosedJaxpr(jaxpr, constants), flat)
    try:
      same = _same(expected, _run(changed, flat))
    except (TypeError, ValueError, AssertionError):
      tally[NOT_RUN] += 1
      continue
    tally[IDENTICAL if same else FALSE] += 1
    if not same:
      told(f'FALSE PROOF: {name}: {made[1]}')


def _run(closed: Any, args: Any) -> list[np.ndarray]:
  return [np.asarray(value) for value in jax.jit(core.jaxpr_as_fun(closed))(*args)]


def _same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
  return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == 'f') for a, b in zip(left, right))


if __name__ == '__main__':
  start = time.process_time()
  result = count_false_proofs(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
  print(', '.join(f'{name}: {count}' for name, count in result.most_common()),
        f'({time.process_time() - start:.0f} s of processor time)')
  sys.exit(bool(result[FALSE]))
