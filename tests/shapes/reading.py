"""Reading small Linen classes given as text."""
from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path
from typing import Any

from migrator.shapes.analysis import Analysis, analyse_all
from migrator.source.project import read_project

HEAD = """\
from functools import partial
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple
import dataclasses
import einops
import numpy as np
import jax
import jax.numpy as jnp
from flax import linen as nn

"""


def read(text: str, name: str = 'M') -> Analysis:
  """Returns the analysis of one class of a module given as text."""
  with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    (root / 'm.py').write_text(HEAD + textwrap.dedent(text))
    return analyse_all(read_project([root], root))[f'm:{name}']


def method(body: str, arguments: str = 'x', fields: str = '') -> Analysis:
  """Returns the analysis of a compact class with this body of `__call__`."""
  lines = [
    'class M(nn.Module):',
    *(f'  {line.strip()}' for line in fields.splitlines() if line.strip()),
    '  @nn.compact',
    f'  def __call__(self, {arguments}):',
    textwrap.indent(textwrap.dedent(body).strip('\n'), '    '),
  ]
  return read('\n'.join(lines))


def inputs(analysis: Analysis) -> list[Any]:
  """Returns, per layer in order, the last size of its first input as text, or where it is unknown."""
  found = []
  for creation in analysis.record.order:
    if creation.kind in ('layer', 'class'):
      found += [_width(use.args[0]) for use in creation.uses if use.args][:1]
  return found


def _width(value: Any) -> str:
  shape = getattr(value, 'shape', None)
  return str(shape[-1]) if shape else f'unknown at line {value.line}'
