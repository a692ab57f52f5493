"""What a migration has to say: findings at a place, and one report per Linen class."""
from __future__ import annotations

import dataclasses
from typing import Literal

Level = Literal['error', 'warning', 'note']
Outcome = Literal['native', 'helper', 'bridged', 'left']

# Code of findings -> what they are about.  What keeps a file from being read has a code of its own and is not listed.
CODES = {
  'stays-linen': 'a class or a line that is still Linen',
  'bridged-class': 'a class that is still Linen and that NNX classes use',
  'left-class': 'a class that is still Linen and that no NNX class uses',
  'bridged-call-site': 'a place that uses an NNX class as a Linen one',
  'linen-name': 'a text that names a variable as Linen did',
  'linen-method': 'a function given as method= that uses its module as a Linen one',
  'unknown-base': 'a class that may be Linen',
  'assumption': 'what was taken for granted',
  'skipped': 'a place that a comment keeps as it is',
}


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
  """One thing the user must know, at one place.

  file: path relative to the root, with forward slashes.
  line: 1-based line in the file before migration; 0 when it concerns the whole file.
  code: short stable name of the kind of finding, such as 'bridged-class'.
  message: what is the matter, and the next move.
  level: 'error' (the file was not migrated), 'warning' (needs a look), 'note' (an assumption).
  """

  file: str
  line: int
  code: str
  message: str
  level: Level = 'warning'


@dataclasses.dataclass(frozen=True)
class ClassReport:
  """What happened to one Linen class.

  name: 'package.module:Class'.
  outcome: 'native' (an NNX class), 'helper' (an NNX class that uses the helper file),
    'bridged' (still Linen, its users reach it through nnx.bridge), 'left' (still Linen, no user).
  reasons: why it is not native, or which helper it needed.
  assumptions: what was taken for granted, each a sentence.
  sizes: constructor size argument -> where its value comes from.
  names: Linen name of a variable or submodule -> NNX attribute path.
  """

  name: str
  file: str
  line: int
  outcome: Outcome
  reasons: tuple[str, ...] = ()
  assumptions: tuple[str, ...] = ()
  sizes: dict[str, str] = dataclasses.field(default_factory=dict)
  names: dict[str, str] = dataclasses.field(default_factory=dict)
