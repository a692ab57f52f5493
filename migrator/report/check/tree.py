"""The modules of a case as a tree, each with the worst verdict that names it."""
from __future__ import annotations

import dataclasses

from migrator.report.check.document import Table, modules_that_differ

EQUAL, NOT_JUDGED = 'same program', 'not judged'


@dataclasses.dataclass
class Module:
  """linen, nnx: its paths.  findings: (verdict of the module, modes that show it).

  otherwise: its verdict when nothing names it.
  """

  linen: str
  nnx: str
  otherwise: str = EQUAL
  findings: list[tuple[Table, list[str]]] = dataclasses.field(default_factory=list)
  children: list[Module] = dataclasses.field(default_factory=list)

  @property
  def name(self) -> str:
    return self.linen.rpartition('/')[2] or '(model)'

  @property
  def verdict(self) -> str:
    """Its own verdict: that of what names it first."""
    return self.findings[0][0]['verdict'] if self.findings else self.otherwise

  @property
  def troubled(self) -> bool:
    """Whether it or a module inside it is named."""
    return bool(self.findings) or any(child.troubled for child in self.children)


def module_tree(case: Table) -> Module:
  """Returns the model with all modules inside it, by Linen path."""
  findings = modules_that_differ(case)
  # Proofs name every module that is not the same program; without a name none was judged alone.
  judged = bool(findings) or bool(case['proofs']) and all(proof['verdict'] == EQUAL for proof in case['proofs'])
  otherwise = EQUAL if judged else NOT_JUDGED
  known: dict[str, Module] = {'': Module('', '', otherwise)}
  for linen, nnx in case['modules']:
    known.setdefault(linen, Module(linen, nnx, otherwise))
  for finding in findings:
    path = finding[0]['linen']
    known.setdefault(path, Module(path, finding[0]['nnx'], otherwise)).findings.append(finding)
  for path in sorted(known, key=_natural):
    if path:
      known[_parent(path, known)].children.append(known[path])
  return known['']


def _parent(path: str, known: dict[str, Module]) -> str:
  parent = path.rpartition('/')[0]
  return parent if parent in known else _parent(parent, known)


def _natural(path: str) -> list[tuple[int, int, str]]:
  """Sort key: numbers in names count as numbers."""
  parts = path.replace('_', '/').split('/')
  return [(0, int(part), '') if part.isdecimal() else (1, 0, part) for part in parts]
