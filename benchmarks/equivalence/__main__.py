"""`python -m benchmarks.equivalence [MUTANTS]` prints all figures: detection, false proofs, sizes, costs."""
from __future__ import annotations

import sys

from benchmarks.equivalence import costs, detection, sizes
from benchmarks.equivalence.soundness import FALSE, count_false_proofs

MUTANTS = 20_000


def main() -> int:
  print('Injected changes and benign rewrites, default check by shapes alone', flush=True)
  for line in detection.lines():
    print(f'  {line}', flush=True)
  print('Large models by shapes alone', flush=True)
  for line in sizes.lines():
    print(f'  {line}', flush=True)
  print('Proofs beside compiling and running', flush=True)
  for line in costs.lines():
    print(f'  {line}', flush=True)
  tally = count_false_proofs(int(sys.argv[1]) if len(sys.argv) > 1 else MUTANTS)
  print('Random mutants of random programs and of model gradients')
  print('  ' + ', '.join(f'{name}: {count}' for name, count in tally.most_common()))
  return int(bool(tally[FALSE]))


if __name__ == '__main__':
  sys.exit(main())
