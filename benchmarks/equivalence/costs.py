"""What proofs cost beside compiling and running both models once, in the same run, without a compilation cache.

`python -m benchmarks.equivalence.costs [PROGRAM...]`
"""
from __future__ import annotations

import dataclasses
import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.equivalence.sources import PROGRAMS, migrated_sources, spent
from migrator.equivalence.cases import from_json
from migrator.equivalence.parts import CaseRun
from migrator.equivalence.process import WorkerProcess
from migrator.equivalence.proof.case_proof import CaseProof

CHOSEN = ('example_vit', 'example_resnet', 'language_model', 'tied_embedding', 'rng_noise', 'shared_twice')
SAME_MODES = ('eval', 'train', 'gradient')


@dataclasses.dataclass(frozen=True)
class Row:
  """Processor seconds of one case: proofs of what the numbers show, and the numbers."""

  name: str
  proof: float
  numbers: float


def measure(programs: Sequence[str] = CHOSEN) -> list[Row]:
  """Returns the first case of every program; imports are done before."""
  os.environ.pop('JAX_COMPILATION_CACHE_DIR', None)
  rows = []
  with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    manifest = migrated_sources(folder, list(programs))
    with WorkerProcess('linen', folder / 'linen') as linen, WorkerProcess('nnx', folder / 'nnx') as nnx:
      workers = [linen, nnx]
      for program in programs:
        case = from_json(runpy.run_path(str(PROGRAMS / program / 'cases.py'))['CASES'][0], program)
        CaseProof(case, manifest, linen, nnx, 600, ()).proofs()
        start = spent(workers)
        CaseProof(case, manifest, linen, nnx, 600, SAME_MODES).proofs()
        middle = spent(workers)
        CaseRun(case, manifest, linen, nnx, 600).result()
        rows.append(Row(f'{program}/{case.name}', middle - start, spent(workers) - middle))
  return rows


def lines(programs: Sequence[str] = CHOSEN) -> list[str]:
  """Returns the table as text."""
  rows = measure(programs)
  text = [f'{row.name:40s} proof {row.proof:5.1f} s, compiling and running {row.numbers:6.1f} s, '
          f'1/{row.numbers / max(row.proof, 0.01):.1f}' for row in rows]
  total = sum(row.proof for row in rows), sum(row.numbers for row in rows)
  return [*text, f'{"all":40s} proof {total[0]:5.1f} s, compiling and running {total[1]:6.1f} s, 1/{total[1] / total[0]:.1f}']


if __name__ == '__main__':
  print('\n'.join(lines(sys.argv[1:] or CHOSEN)))
