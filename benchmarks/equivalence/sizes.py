"""Large models by shapes alone: what the whole default check costs.  `python -m benchmarks.equivalence.sizes`"""
from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.equivalence.sources import Cost, Meter, cost, migrated_apart, spent
from migrator.equivalence.cases import Case
from migrator.equivalence.process import WorkerProcess
from migrator.equivalence.proof.case_proof import CaseProof

VIT = Case('ViT-B/16, whole default check', 'example_vit:ViT',
           {'config': 'example_vit.ViTConfig(width=768, depth=12, heads=12, rate=0.1)', 'classes': '1000', 'patch': '16'},
           inputs=('f32[2,224,224,3]',), eval={'train': False}, train={'train': True}, rngs=('dropout',))
DECODER = Case('decoder of 6.9 billion parameters, gradient', 'language_model:LM',
               {'cfg': 'language_model.LMConfig(vocab_size=50304, block_size=2048, num_layers=34, num_heads=32, '
                       'num_embeds=4096)'},
               inputs=('i32[2,2048] < 50304',), eval=None, train={'deterministic': False}, rngs=('dropout',))
CASES = ((VIT, None), (DECODER, ('train', 'gradient')))


@dataclasses.dataclass(frozen=True)
class Row:
  """One model: verdicts by mode, and the cost with the start of the processes."""

  name: str
  parameters: int
  equations: int
  verdicts: dict[str, str]
  cost: Cost


def measure(modes: Any = None) -> list[Row]:
  """Returns the rows of all cases."""
  rows = []
  for case, wanted in CASES:
    with tempfile.TemporaryDirectory() as place:
      folder = Path(place)
      manifest = migrated_apart(folder, [case.model.split(':')[0]])
      start = spent([])
      with WorkerProcess('linen', folder / 'linen') as linen, WorkerProcess('nnx', folder / 'nnx') as nnx:
        proof = CaseProof(case, manifest, linen, nnx, 600, modes=wanted)
        with Meter([linen, nnx]) as meter:
          found = proof.proofs()
        total = dataclasses.replace(cost([linen, nnx], start), together=meter.together)
      rows.append(Row(case.name, proof.parameters, max(one.linen_size + one.nnx_size for one in found),
                      {one.mode: one.verdict.level for one in found}, total))
  return rows


def lines() -> list[str]:
  """Returns the table as text."""
  text = ['model | parameters | equations | CPU s | MiB: largest process, all together | verdicts']
  for row in measure():
    verdicts = ', '.join(f'{mode} {level}' for mode, level in row.verdicts.items())
    text.append(f'{row.name} | {row.parameters / 1e9:.2f} B | {row.equations} | {row.cost.seconds:.1f} | '
                f'{row.cost.memory:.0f}, {row.cost.together:.0f} | {verdicts}')
  return text


if __name__ == '__main__':
  print('\n'.join(lines()))
