"""What a check found: leaves, parts, cases, the report; plain data with stable JSON keys."""
from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from migrator.equivalence.proof.verdict import ModeProof, Verdict

FORMAT = 'linen2nnx-check'
VERSION = 1

BITWISE = 'bitwise'
CLOSE = 'close'
DIFFERS = 'differs'
ERROR = 'error'
NOT_COMPARED = 'not compared'

VARIABLES = 'variables'

EQUAL, DIFFERENCES, FAILURE = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class LeafResult:
  """One array on both sides.

  path: in the tree of the part, Linen names, parts joined by '/'.
  kind: 'missing' (only Linen has it), 'unexpected' (only NNX has it), 'shape', 'dtype', 'nan'
    (not-a-number at other places), 'value', or 'equal' (same bits).
  detail: what is the matter, in words; '' when equal.
  max_abs: largest absolute difference.  relative: the same divided by the scale of the reference.
  max_ulp: largest distance in representable numbers.  where: index of the largest difference.
  """

  path: str
  kind: str
  detail: str = ''
  max_abs: float = 0.0
  relative: float = 0.0
  max_ulp: int = 0
  where: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class PartResult:
  """One comparison of a case: 'variables', 'eval', 'train', 'train state', 'gradient params', ...

  verdict: 'bitwise', 'close' (within the tolerance), 'differs', 'error' or 'not compared'.
  reason: why it is an error or was not compared.
  leaves: number of arrays compared.  needed: smallest relative tolerance that would pass; None when
    none would.
  worst: the leaves that are not equal, worst first.
  notes: what the verdict does not cover, or took for granted, in words.
  """

  name: str
  verdict: str
  reason: str = ''
  leaves: int = 0
  max_abs: float = 0.0
  max_ulp: int = 0
  needed: float | None = 0.0
  worst: tuple[LeafResult, ...] = ()
  notes: tuple[str, ...] = ()

  @property
  def passed(self) -> bool:
    return self.verdict in (BITWISE, CLOSE)


@dataclasses.dataclass(frozen=True)
class CaseResult:
  """One case: `proofs` of its modes, then the numbers of its `parts`.

  failure: why the case could not be run at all.
  modules: (Linen path, NNX path) of every module known on both sides; '' is the model itself.
  """

  name: str
  model: str
  parts: tuple[PartResult, ...] = ()
  failure: str = ''
  notes: tuple[str, ...] = ()
  proofs: tuple[ModeProof, ...] = ()
  modules: tuple[tuple[str, str], ...] = ()

  @property
  def exit_code(self) -> int:
    """0 all equal, 1 differences, 2 it failed or nothing could be compared."""
    verdicts = [part.verdict for part in self.parts]
    # Loading the variables proves nothing about the computation.
    compared = any(part.passed for part in self.parts if part.name != VARIABLES)
    differs = DIFFERS in verdicts or any(proof.verdict is Verdict.DIFFERS for proof in self.proofs)
    compared = compared or any(proof.verdict.is_equal for proof in self.proofs if proof.mode != 'weights')
    # Without numbers the proofs of what is computed are all there is.
    unproved = not self.parts and any(not proof.verdict.is_equal and proof.mode not in ('init', 'keys', 'batch of one')
                                      for proof in self.proofs)
    if self.failure or ERROR in verdicts or not differs and (unproved or not compared):
      return FAILURE
    return DIFFERENCES if differs else EQUAL


@dataclasses.dataclass(frozen=True)
class CheckReport:
  """The results of all cases.  versions: of both sides' jax and flax.  failure: nothing could be run."""

  cases: tuple[CaseResult, ...] = ()
  versions: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
  failure: str = ''

  @property
  def exit_code(self) -> int:
    """0 all equal, 1 differences, 2 failures."""
    if self.failure or not self.cases:
      return FAILURE
    return max(case.exit_code for case in self.cases)

  def to_document(self) -> dict[str, Any]:
    """Returns plain JSON values as `migrator/report/check/schema.json` describes them."""
    document = {
      'format': FORMAT, 'version': VERSION, 'exit_code': self.exit_code, 'failure': self.failure,
      'versions': self.versions, 'cases': [case_document(case) for case in self.cases],
    }
    plain: dict[str, Any] = finite(document)
    return plain

  def to_json(self) -> str:
    """Returns the JSON text; keys and their order are stable, no paths of the machine in it."""
    return json.dumps(self.to_document(), indent=2, ensure_ascii=False, allow_nan=False) + '\n'


def case_document(case: CaseResult) -> dict[str, Any]:
  """Returns one case as the report has it; numbers may be infinite here."""
  return {'name': case.name, 'model': case.model, 'exit_code': case.exit_code, 'failure': case.failure,
          'notes': list(case.notes), 'modules': [list(pair) for pair in case.modules], 'proofs': [dataclasses.asdict(proof) for proof in case.proofs],
          'parts': [dataclasses.asdict(part) for part in case.parts]}


def finite(value: Any) -> Any:
  """Returns JSON values: numbers that are not finite become null, tuples lists, texts plain."""
  if isinstance(value, dict):
    return {key: finite(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [finite(item) for item in value]
  if isinstance(value, str):
    return str(value)
  return None if isinstance(value, float) and not math.isfinite(value) else value
