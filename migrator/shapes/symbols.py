"""What each symbolic dimension means: where its value comes from in the constructor.

Symbols live in one scope for the whole run, so that results of the oracle can be reused; what a
symbol stands for is kept per analysed class in a `SymbolTable`.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from .dims import text_of
from .values import Dim


@dataclasses.dataclass(frozen=True)
class SymbolInfo:
  """Meaning of one symbol.

  kind: 'field' (expression over fields), 'input' (axis of a call argument), 'local' (a local
    variable of the constructor), 'phi' (one of two dims by a condition), 'carried' (changes from
    one pass of a loop to the next), 'opaque' (a size of an array that has no expression).
  source: expression text for 'field' and 'local', variable name for 'carried'.
  argument, axis, rank: for 'input'.
  test, then, orelse: for 'phi'.
  loop: the loop whose body the symbol is bound to, if any.
  entry, update: for 'carried', the dims before the loop and after one pass.
  """

  kind: str
  source: str = ''
  argument: str = ''
  axis: int = 0
  rank: int = 0
  method: str = '__call__'
  test: ast.expr | None = None
  then: Dim = None
  orelse: Dim = None
  loop: ast.AST | None = None
  entry: Dim = None
  update: Dim = None

  def identity(self) -> tuple[Any, ...]:
    """Returns what tells this meaning from others; comparing long expressions themselves is slow."""
    places = (id(self.test) if self.test is not None else 0, id(self.loop) if self.loop is not None else 0)
    sizes = tuple(map(text_of, (self.then, self.orelse, self.entry, self.update)))
    return (self.kind, self.source, self.argument, self.axis, self.rank, self.method, *places, *sizes)


class SymbolTable:
  """Symbols of one analysed class, by name."""

  def __init__(self, make_symbol: Any) -> None:
    self._make_symbol = make_symbol
    self._infos: dict[str, SymbolInfo] = {}
    # Names by stem and meaning at birth: entering a loop again the same way gives the same symbols.
    self._names: dict[tuple[Any, ...], str] = {}
    self._counts: dict[str, int] = {}
    # False while code of other classes and functions is followed: their local names mean nothing here.
    self.home = True
    # Sizes that are products of the sizes of an array (a flattened array), by their text.
    self.products: dict[str, tuple[Dim, ...]] = {}
    # Pairs of sizes that have to be equal wherever the program runs: it adds or contracts such axes.
    self.equal: set[frozenset[str]] = set()
    # What was taken for granted where values were joined.
    self.notes: list[str] = []

  def taken_equal(self, dims: Sequence[Dim]) -> None:
    """Remembers that the program fails unless these sizes are equal."""
    texts = [str(dim) for dim in dims]
    self.equal |= {frozenset((a, b)) for a in texts for b in texts if a != b}

  def must_agree(self, left: Dim, right: Dim) -> bool:
    """Tells whether the program fails unless the two sizes are equal."""
    return frozenset((str(left), str(right))) in self.equal

  def new(self, stem: str, info: SymbolInfo) -> Dim:
    """Returns a symbol for `info`; the same info under the same stem gives the same symbol."""
    if not self.home and info.kind in ('local', 'phi') and info.loop is None:
      info = dataclasses.replace(info, kind='opaque')
    stem = symbol_stem(stem)
    key = (stem, *info.identity())
    if key not in self._names:
      self._names[key] = self._free(stem)
      self._infos[self._names[key]] = info
    return self._make_symbol(self._names[key])

  def _free(self, stem: str) -> str:
    count = self._counts.get(stem, 0) + 1
    name = stem if count == 1 else f'{stem}_{count}'
    while name in self._infos:
      count += 1
      name = f'{stem}_{count}'
    self._counts[stem] = count
    return name

  def info(self, name: str) -> SymbolInfo | None:
    return self._infos.get(name)

  def update(self, name: str, **changes: Any) -> None:
    self._infos[name] = dataclasses.replace(self._infos[name], **changes)


def symbol_stem(text: str) -> str:
  """Returns a legal symbol name for an expression: 'self.config.width' -> 'config_width'."""
  stem = re.sub(r'[^0-9A-Za-z]+', '_', text.removeprefix('self.')).strip('_') or 'size'
  if not stem[0].isalpha():
    stem = f'size_{stem}'
  return f'{stem}_' if stem in ('mod', 'floordiv', 'max', 'min', 'non_negative') else stem
