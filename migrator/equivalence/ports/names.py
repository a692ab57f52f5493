"""What names tell: which parts are the same word, and which are numbered members of one family."""
from __future__ import annotations

import re
from collections.abc import Sequence

from migrator.equivalence.ports.tree import Node, Path

Stems = tuple[str, ...]
Numbers = tuple[int, ...]
_NUMBERED = re.compile(r'(.*?)(\d+)')
_HUMP = re.compile(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])')


def split_name(path: Path) -> tuple[Stems, Numbers]:
  """Splits 'Dense_0' and ('blocks', 3) into words and numbers: (('dense',), (0,)) and (('block',), (3,)).

  Words are lower case and singular, so that `DenseGeneral_1`, `dense_generals/1` are one family.
  """
  stems: list[str] = []
  numbers: list[int] = []
  for part in (part for text in path for part in str(text).split('_') if part):
    match = _NUMBERED.fullmatch(part)
    if match is not None:
      numbers.append(int(match[2]))
    stems += _words(match[1] if match is not None else part)
  return tuple(stems), tuple(numbers)


def _words(text: str) -> list[str]:
  words = [word.lower() for word in _HUMP.split(text) if word]
  return [word[:-1] if len(word) > 3 and word.endswith('s') and not word.endswith('ss') else word for word in words]


def families(nodes: Sequence[Node]) -> dict[Stems, list[Node]]:
  """Returns the nodes by the words of their names, each family in the order of its numbers."""
  found: dict[Stems, list[Node]] = {}
  for node in sorted(nodes, key=lambda node: split_name(node.name)[1]):
    found.setdefault(split_name(node.name)[0], []).append(node)
  return found


def is_numbered(family: Sequence[Node]) -> bool:
  """Tells whether numbers give the nodes of a family an order."""
  return len({split_name(node.name)[1] for node in family}) == len(family)
