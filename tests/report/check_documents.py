"""Results of checks as plain data: one of every kind of verdict."""
from __future__ import annotations

import math

from migrator.equivalence import CaseResult, CheckReport, PartResult
from migrator.equivalence.proof import ModeProof, ModuleVerdict, OutputVerdict, Verdict
from migrator.equivalence.verdicts import LeafResult

HASH = 'a' * 64
EPSILON = ModuleVerdict('block_0/LayerNorm_1', 'blocks/0/norm2', Verdict.DIFFERS, 'body', '1e-06 in Linen, 1e-05 in NNX',
                        'zoo/vit.py:7', 'zoo/vit.py:12')
WIRING = ModuleVerdict('', '', Verdict.DIFFERS, 'wiring', 'wiring into head: x * 2 <in NNX>')


def leaf(path: str, relative: float) -> LeafResult:
  return LeafResult(path, 'value', f'largest difference at [0], {relative:.1e} of the scale', relative, relative, 40, (0,))


def report() -> CheckReport:
  """Three cases: equal, different, failed."""
  good = CaseResult('mlp', 'zoo.mlp:Mlp', (PartResult('variables', 'bitwise', leaves=4), PartResult(
    'eval', 'close', leaves=1, max_abs=1e-7, max_ulp=2, needed=2e-7, worst=(leaf('', 2e-7),))), proofs=(
      ModeProof('eval', Verdict.SAME_PROGRAM, 'for every batch size of 2 and more', 1, assumptions=('tracing',),
                linen_hash=HASH, nnx_hash=HASH, linen_size=8, nnx_size=9),))
  parts = (PartResult('eval', 'differs', 'the output: <b>', 3, 0.25, 40, None,
                      (leaf('layer/out', 0.5), leaf('layer/in', 1e-3), LeafResult('x', 'missing', 'only Linen has it',
                                                                              math.inf, math.inf))),
           PartResult('train', 'not compared', 'no flags'))
  proofs = (ModeProof('eval', Verdict.DIFFERS, outputs=2, lower=(OutputVerdict('output', Verdict.DIFFERS, 'add, mul'),),
                      modules=(EPSILON, WIRING), reason='output: 1e-06 in Linen'),
            ModeProof('gradient', Verdict.DIFFERS, outputs=2, modules=(EPSILON,), reason='gradient: 1e-06 in Linen'))
  bad = CaseResult('vit', 'zoo.vit:ViT', parts, notes=('a note',), proofs=proofs)
  failed = CaseResult('gru', 'zoo.gru:Gru', failure='linen: ValueError: no\nsecond line')
  versions = {side: {'python': '3.11.7', 'flax': '0.12.8', 'jax': '0.10.2'} for side in ('linen', 'nnx')}
  return CheckReport((good, bad, failed), versions)
