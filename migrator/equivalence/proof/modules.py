"""From cut borders to verdicts of modules: which, where, why, and the source lines of both sides."""
from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from migrator.equivalence.proof.boundaries_read import BACK, Border
from migrator.equivalence.proof.causes import cause
from migrator.equivalence.proof.explain import path_to_difference
from migrator.equivalence.proof.locate import Cut
from migrator.equivalence.proof.verdict import ModuleVerdict, Verdict

BODY, WIRING, LEAF = 'body', 'wiring', 'leaf'
UNCALLED = ('is called in Linen, not in NNX', 'is called in NNX, not in Linen')
NO_GRADIENT = 'no gradient comes back to its output in'


@dataclasses.dataclass(frozen=True)
class Found:
  """One difference.

  key: names it on both sides, '' for none.  linen, nnx: the expressions, if both exist.
  lines: of the border on either side, for where the expressions have none.
  """

  path: str
  place: str
  key: str
  linen: int | None
  nnx: int | None
  words: str = ''
  lines: tuple[str, str] = ('', '')


def differences(cut: Cut, placed: Collection[str]) -> list[Found]:
  """Returns all differences: borders, borders that only one side has, outputs.

  placed: paths of the Linen modules that have a counterpart.
  """
  found = [Found(border.path, _place(border), border.text(), linen, nnx, '', cut.mark_lines.get(border, ('', '')))
           for border, linen, nnx in cut.differing()]
  missing = _missing(cut, placed)
  if missing and missing[0].path and any(border.kind == BACK for border in cut.missing) and not any(
      border.kind != BACK for border in cut.missing):
    # Everything before that place gets no gradient either.
    return found + missing
  found += missing
  # A leaf is told by the border it comes from, where there is one that differs.
  told = {item.path for item in found}
  for name, (linen, nnx) in cut.outputs.items():
    if linen == nnx:
      continue
    path, place = _owner(name)
    if place == LEAF and path in told:
      continue
    words = '' if None not in (linen, nnx) else f'only {"Linen" if nnx is None else "NNX"} has it'
    found.append(Found(path, place, name, linen, nnx, words))
  return found


def _place(border: Border) -> str:
  # What flows back out of a module's inputs is its own work; what comes back to its output is the wiring.
  inner = border.way == 'out' if border.kind != BACK else border.way == 'in'
  return BODY if inner else WIRING


def _missing(cut: Cut, placed: Collection[str]) -> list[Found]:
  """Modules that only one side calls; or else the first module that no gradient comes back to."""
  found = []
  for border, side in cut.missing.items():
    if border.kind == BACK or border.way != 'in' or border.leaf or border.path not in placed:
      continue
    words = UNCALLED[side != 'NNX']
    found.append(Found(border.path, WIRING, '', None, None, words, cut.mark_lines[border]))
  return found or _without_gradient(cut)


def _without_gradient(cut: Cut) -> list[Found]:
  # A level that only NNX has is no module of Linen that lacks a gradient.
  back = [border for border in cut.missing
          if border.kind == BACK and border.way == 'out' and not border.path.startswith('NNX ')]
  owners = {_owner(name)[0] for name in cut.outputs}
  back = [border for border in back if border.path in owners] or back
  if not back:
    return []
  words = f'{NO_GRADIENT} {cut.missing[back[0]]}'
  return [Found(back[0].path, WIRING, '', None, None, words, cut.mark_lines[back[0]])]


def _owner(name: str) -> tuple[str, str]:
  """Returns the module an output of a program belongs to, and the kind of place."""
  group, *path = name.split('/')
  if group == 'output':
    return '', BODY
  if group == 'gradient' and path[0] == 'inputs':
    return '', BODY
  inner = path[1:] if group in ('state', 'gradient', 'initial') else path
  return '/'.join(inner[:-1]), LEAF


def judged(cut: Cut, found: list[Found], verdicts: Mapping[str, Verdict], nnx_paths: Mapping[str, str]) -> tuple[ModuleVerdict, ...]:
  """Returns one verdict per module and place.

  verdicts: of differences that are none in another sense, by key.  nnx_paths: by Linen path.
  """
  best: dict[tuple[str, str], ModuleVerdict] = {}
  for item in found:
    verdict = verdicts.get(item.key, Verdict.DIFFERS)
    words, lines = _explained(cut, item)
    module = ModuleVerdict(item.path, nnx_paths.get(item.path, ''), verdict, item.place, words, *lines)
    key = (item.path, item.place)
    if key not in best or best[key].verdict is not Verdict.DIFFERS and verdict is Verdict.DIFFERS:
      best[key] = module
  return tuple(_without_consequences(list(best.values())))


def _without_consequences(modules: list[ModuleVerdict]) -> list[ModuleVerdict]:
  """A module is named once for a difference: what it computes counts before what goes in, and both before leaves."""
  bodies = {module.linen for module in modules if module.place == BODY}
  return sorted((module for module in modules if module.place != LEAF or module.linen not in bodies),
                key=lambda module: (module.verdict is not Verdict.DIFFERS, module.linen, module.place))


def _explained(cut: Cut, item: Found) -> tuple[str, tuple[str, str]]:
  if item.linen is None or item.nnx is None:
    return item.words, item.lines
  path = path_to_difference(cut.table, item.linen, item.nnx)
  moves = ('bcast', 'reshape', 'transpose', 'convert_element_type')
  around = next((left for left, _ in reversed(path[:-1]) if cut.table.nodes[left].op not in moves), None)
  words = cause(cut.table, *path[-1], around)
  lines = tuple(next((known[pair[side]] for pair in reversed(path) if known.get(pair[side])), item.lines[side])
                for side, known in enumerate((cut.linen_lines, cut.nnx_lines)))
  return words, (lines[0], lines[1])
