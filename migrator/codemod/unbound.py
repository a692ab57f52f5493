"""Names that a written class reads and nothing binds: the last look before a class counts as NNX."""

from __future__ import annotations

import builtins
import symtable
import textwrap
from collections.abc import Iterator


def unbound_names(before: str, after: str, bound: set[str]) -> list[str]:
  """Returns the names that the new text of a class reads from outside of it, that its old text did not, and nothing binds.

  before, after: text of the class, old and new.
  bound: names of the module, with those that its imports will bind.
  """
  known = _outer_names(before) | bound | set(dir(builtins))
  return sorted(_outer_names(after) - known)


def _outer_names(text: str) -> set[str]:
  """Returns the names that a piece of code reads and does not bind itself."""
  module = symtable.symtable(textwrap.dedent(text), '<class>', 'exec')
  own = {symbol.get_name() for symbol in module.get_symbols() if symbol.is_assigned()}
  return {
    symbol.get_name()
    for table in _tables(module)
    for symbol in table.get_symbols()
    if symbol.is_global() and symbol.is_referenced()
  } - own


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
  yield table
  for child in table.get_children():
    yield from _tables(child)
