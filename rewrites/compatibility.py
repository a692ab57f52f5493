"""What is proved of each layer on each Flax: the table that `python -m benchmarks.compatibility` writes.

A row is a sample of a layer record; a column is a pair of versions; a cell tells the verdict of each mode.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name('compatibility.json')

# Row -> column -> mode -> verdict.
Table = Mapping[str, Mapping[str, Mapping[str, str]]]


@functools.cache
def table() -> Table:
  """Returns the table; empty before it is made."""
  return json.loads(FILE.read_text(encoding='utf-8')) if FILE.is_file() else {}


def rows_of(linen: str) -> Table:
  """Returns the rows of one layer, by its canonical Linen name."""
  return {row: cells for row, cells in table().items() if row.startswith(f'{linen}: ')}
