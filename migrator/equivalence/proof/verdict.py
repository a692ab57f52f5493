"""What a proof says: the ladder of verdicts, per mode, per output and per module; plain data."""
from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable


class Verdict(enum.StrEnum):
  """The ladder, best first; the text is what a user reads."""

  SAME_PROGRAM = 'same program'
  SAME_UNROLLED = 'same after unrolling'
  SAME_UP_TO_ORDER = 'same up to operand order'
  SAME_FUNCTION = 'same real function'
  OTHER_PRECISION = 'same, other precision'
  DIFFERS = 'differs'
  NOT_PROVED = 'not proved'

  @property
  def level(self) -> str:
    """The short name: 'L0', 'L0u', 'L1', 'L2', 'L2-precision', 'differs', 'not proved'."""
    return _LEVELS.get(self, str(self))

  @property
  def claim(self) -> str:
    """What is claimed, in one sentence."""
    return _CLAIMS[self]

  @property
  def is_equal(self) -> bool:
    """Whether the two compute the same real function in the same precision."""
    return self in (Verdict.SAME_PROGRAM, Verdict.SAME_UNROLLED, Verdict.SAME_UP_TO_ORDER,
                    Verdict.SAME_FUNCTION)

  @property
  def is_exact(self) -> bool:
    """Whether every rounded operation is the same."""
    return self in (Verdict.SAME_PROGRAM, Verdict.SAME_UNROLLED)


_LEVELS = {Verdict.SAME_PROGRAM: 'L0', Verdict.SAME_UNROLLED: 'L0u', Verdict.SAME_UP_TO_ORDER: 'L1',
           Verdict.SAME_FUNCTION: 'L2', Verdict.OTHER_PRECISION: 'L2-precision'}
_CLAIMS = {
  Verdict.SAME_PROGRAM: 'every output is the same tree of the same rounded operations, for every input',
  Verdict.SAME_UNROLLED: 'the same rounded operations once loops over layers are written out',
  Verdict.SAME_UP_TO_ORDER: 'the same operations; operands of sums and products may be swapped (last bit)',
  Verdict.SAME_FUNCTION: 'the same function of real numbers with high probability; rounding may differ',
  Verdict.OTHER_PRECISION: 'the same function of real numbers, but rounded to a lower precision elsewhere',
  Verdict.DIFFERS: 'another function: at a random point the two give different values',
  Verdict.NOT_PROVED: 'nothing is claimed',
}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
  """Returns the lowest verdict of the ladder; NOT_PROVED counts below all others but DIFFERS."""
  return max(verdicts, key=_RANK.__getitem__, default=Verdict.SAME_PROGRAM)


def rank(verdict: Verdict) -> int:
  """Returns the place in the order of `worst`, the best first."""
  return _RANK[verdict]


_RANK = {verdict: rank for rank, verdict in enumerate((
  Verdict.SAME_PROGRAM, Verdict.SAME_UNROLLED, Verdict.SAME_UP_TO_ORDER, Verdict.SAME_FUNCTION,
  Verdict.OTHER_PRECISION, Verdict.NOT_PROVED, Verdict.DIFFERS))}


@dataclasses.dataclass(frozen=True)
class OutputVerdict:
  """One output array that is not the same program.

  name: 'output/...', 'state/batch_stats/...', 'gradient/params/...' with Linen paths.
  verdict: of the ladder.  detail: the first difference, in words; '' when none is known.
  """

  name: str
  verdict: Verdict
  detail: str = ''


@dataclasses.dataclass(frozen=True)
class ModuleVerdict:
  """One module that was cut out and judged alone.

  linen, nnx: path of the module on either side, parts joined by '/'; '' is the model itself.
  verdict: of the ladder.  place: 'body' (what the module computes), 'wiring' (what is passed into
  it), or 'leaf' (a gradient, state or initial value that belongs to it).
  cause: what differs, in words, such as '1e-06 in Linen, 1e-05 in NNX'.
  linen_line, nnx_line: 'zoo/vit.py:31' relative to the root of the side; '' when not known.
  """

  linen: str
  nnx: str
  verdict: Verdict
  place: str = 'body'
  cause: str = ''
  linen_line: str = ''
  nnx_line: str = ''


@dataclasses.dataclass(frozen=True)
class ModeProof:
  """The proof of one mode of one case.

  mode: 'weights' (every leaf has its place), 'eval', 'eval state', 'train', 'train state', 'gradient', 'step',
  'batch of one' (where the others hold for every batch size of 2 and more), 'init', 'keys'.
  verdict: the worst of all outputs.
  shapes: for which shapes the claim holds, in words.
  outputs: number of arrays compared.  lower: those that are not the same program, worst first.
  assumptions: what the claim takes for granted, in words.
  modules: the modules that are not the same program; empty when all are.
  linen_hash, nnx_hash: canonical hash of either program (64 hexadecimal digits); '' when there is none.
  linen_size, nnx_size: number of equations.
  reason: why nothing was proved, or what differs first; '' otherwise.
  """

  mode: str
  verdict: Verdict
  shapes: str = ''
  outputs: int = 0
  lower: tuple[OutputVerdict, ...] = ()
  assumptions: tuple[str, ...] = ()
  modules: tuple[ModuleVerdict, ...] = ()
  linen_hash: str = ''
  nnx_hash: str = ''
  linen_size: int = 0
  nnx_size: int = 0
  reason: str = ''
