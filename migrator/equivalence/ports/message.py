"""What a failed assertion says: every module that differs, where it is written, and why; then the numbers."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from migrator.equivalence import verdicts
from migrator.equivalence.ports.infer import PortMap
from migrator.equivalence.ports.tree import show
from migrator.equivalence.proof.verdict import ModuleVerdict, Verdict
from migrator.equivalence.verdicts import CaseResult, PartResult

LEAVES_SHOWN = 4


def is_accepted(result: CaseResult, numerics: str) -> bool:
  """Tells whether a result is good enough: 'exact' asks for the same rounding everywhere."""
  if result.exit_code:
    return False
  if numerics == 'idiomatic':
    return True
  proofs = {proof.mode: proof.verdict for proof in result.proofs}
  rounded = [part for part in result.parts if part.verdict == verdicts.CLOSE and part.name != 'initial values']
  return not rounded and all(verdict.is_exact or verdict is Verdict.NOT_PROVED for verdict in proofs.values())


def failure_text(result: CaseResult, port: PortMap, linen: Any, nnx: Any, numerics: str) -> str:
  """Returns the message."""
  lines = [f'{type(nnx).__name__} (NNX) does not compute what {type(linen).__name__} (Linen) computes '
           f'(numerics={numerics!r})']
  lines += [f'  {line}' for line in result.failure.splitlines()]
  named = list(_modules(result))
  lines += named
  lines += [line for part in result.parts for line in _part(part, numerics)]
  lines += [f'  {proof.mode} (proof): {proof.verdict}{_ending(proof.reason)}' for proof in result.proofs
            if not proof.verdict.is_equal]
  if not named:
    # Nothing tells the place: the pairing may be what is wrong.
    lines.append('  what was taken for the same: ' + ', '.join(
      f'{show(one)} -> {show(other)}' for one, other in sorted(port.modules.items()) if one))
  return '\n'.join(lines)


def _modules(result: CaseResult) -> Iterator[str]:
  """One line for every module that differs, whatever the number of modes that show it."""
  modes: dict[tuple[str, str, str, str], list[str]] = {}
  first: dict[tuple[str, str, str, str], ModuleVerdict] = {}
  for proof in result.proofs:
    for module in proof.modules:
      key = (module.linen, module.nnx, module.place, module.cause)
      modes.setdefault(key, []).append(proof.mode)
      first.setdefault(key, module)
  for key, module in first.items():
    yield f'  {module_line(module)} [{", ".join(modes[key])}]'


def module_line(module: ModuleVerdict) -> str:
  """Returns 'Linen block_0/norm (zoo.py:3) | NNX blocks/0/norm (zoo.py:9): body: 1e-6 in Linen, ...'."""
  places = [f'{side} {path or "(root)"}' + (f' ({line})' if line else '') for side, path, line in
            (('Linen', module.linen, module.linen_line), ('NNX', module.nnx, module.nnx_line))]
  return f'{" | ".join(places)}: {module.place}: {module.verdict}{_ending(module.cause)}'


def _part(part: PartResult, numerics: str) -> Iterator[str]:
  bad = part.verdict in (verdicts.DIFFERS, verdicts.ERROR) or (
    numerics == 'exact' and part.verdict == verdicts.CLOSE and part.name != 'initial values')
  if not bad:
    return
  yield f'  {part.name}: {part.verdict}{_ending(part.reason)}'
  for leaf in part.worst[:LEAVES_SHOWN]:
    yield f'      {leaf.path or "the output"}: {leaf.detail}'
  if len(part.worst) > LEAVES_SHOWN:
    yield f'      and {len(part.worst) - LEAVES_SHOWN} more'


def _ending(text: str) -> str:
  return f': {text}' if text else ''
