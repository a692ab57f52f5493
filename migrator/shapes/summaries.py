"""What a call of a repository class gives: followed once for each pattern of fields and arguments.

Two calls that differ only in the names of their sizes have results that differ only in these names, whichever
class makes the call.  A summary keeps the result of the first one, with what was noticed on the way.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .dims import is_symbolic, parsed, text_of
from .examples import kind_of_name
from .keys import NoKey, memory_key
from .renaming import names_in, renamed
from .symbols import SymbolInfo, SymbolTable
from .values import (
  Alternatives,
  Array,
  Closure,
  Dim,
  External,
  Instance,
  Late,
  Opaque,
  Repeated,
  Structure,
  Unknown,
  Value,
  like,
)


@dataclasses.dataclass
class Noticed:
  """What was noticed while a call was followed: notes, and calls of repository classes inside, by pattern.

  general: False once the answer hung on where the call stands (recursion, depth, a budget).
  """

  notes: list[tuple[int, str]] = dataclasses.field(default_factory=list)
  calls: dict[Any, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
  general: bool = True
  # Kept, not only their ids: the next object could have the id of one that is gone, and be lost.
  _added: dict[int, Noticed] = dataclasses.field(default_factory=dict)

  def add(self, other: Noticed) -> None:
    """Takes over what was noticed inside; what was remembered is taken over once."""
    if id(other) in self._added:
      return
    self._added[id(other)] = other
    self.notes += [note for note in other.notes if note not in self.notes]
    for pattern, call in other.calls.items():
      self.calls.setdefault(pattern, call)
    self.general = self.general and other.general


@dataclasses.dataclass
class Summary:
  """The result of one call, in the names of the class that made it first.

  names: neutral name of each symbol of fields and arguments; infos: meaning of the other symbols of the result.
  products: sizes of flattened arrays in the result, by their text.
  """

  result: Value
  names: dict[str, str]
  infos: dict[str, SymbolInfo]
  products: dict[str, tuple[Dim, ...]]
  noticed: Noticed


class Names:
  """Neutral names for the symbols of one class, given in the order of asking."""

  def __init__(self, table: SymbolTable) -> None:
    self.table = table
    self.names: dict[str, str] = {}

  def __call__(self, dim: Dim) -> str:
    text = text_of(dim)
    if not is_symbolic(dim):
      return text
    for name in names_in(text):
      if name not in self.names:
        self.names[name] = self._neutral(name)
    return renamed(text, self.names)

  def _neutral(self, name: str) -> str:
    info = self.table.info(name)
    if info is not None and info.kind == 'field':  # an unread field of the same source is the same size
      return f'<{info.source}>'
    return f'{kind_of_name(name)}_{len(self.names)}'


def follow(
  it: Any,
  owner: Instance,
  args: tuple[Value, ...],
  kwargs: dict[str, Value],
  node: Any,
  frame: Any,
  method: str,
) -> Value:
  """Returns what a call of an instance of a repository class gives."""
  found = owner.source.methods.get(method)
  names = Names(it.table)
  keys = None if owner is it.subject or owner.altered else _keys(owner, args, kwargs, method, names)
  it.notice_call(keys[1] if keys else (id(node), id(owner)), (owner, args, kwargs, method))
  if found is None:
    return Unknown(f'{owner.source.node.name} has no {method}', node.lineno)
  from .calls import call_closure

  function = Closure(found.node, found.owner.module, None, owner, found.owner)
  if keys is None:
    return call_closure(it, function, args, kwargs, node, frame)
  exact, general = keys
  if exact in it.memory:
    result, noticed = it.memory[exact]
    it.notice(noticed)
    return result
  summary = it.summaries.get(general)
  if summary is None:
    it.open.append(Noticed())
    try:
      result = call_closure(it, function, args, kwargs, node, frame)
    finally:
      noticed = it.open.pop()
    if it.open:
      it.open[-1].add(noticed)
    if noticed.general:
      _keep(it, general, result, names, noticed)
  else:
    noticed = summary.noticed
    it.notice(noticed)
    result = _in_names(it.table, summary, names, exact)
  it.memory[exact] = (result, noticed)
  return result


def _keys(
  owner: Instance, args: tuple[Value, ...], kwargs: dict[str, Value], method: str, names: Names
) -> tuple[Any, Any] | None:
  fields = {name: value for name, value in owner.fields.items() if name not in ('name', 'parent')}
  try:
    exact = (owner.source.name, method, memory_key((fields, args, kwargs)))
    return exact, (owner.source.name, method, memory_key((fields, args, kwargs), names))
  except NoKey:
    return None


def _keep(it: Any, key: Any, result: Value, names: Names, noticed: Noticed) -> None:
  infos: dict[str, SymbolInfo] = {}
  products: dict[str, tuple[Dim, ...]] = {}

  def note(dim: Dim) -> Dim:
    text = text_of(dim)
    factors = it.table.products.get(text)
    if factors is not None:
      products[text] = factors
    for part in (dim, *(factors or ())):
      for name in names_in(text_of(part)) if is_symbolic(part) else ():
        if name not in names.names:
          infos[name] = it.table.info(name) or SymbolInfo('opaque', source=name)
    return dim

  try:
    kept = _mapped(result, note)
  except NoKey:
    return
  it.summaries[key] = Summary(kept, dict(names.names), infos, products, noticed)


def _in_names(table: SymbolTable, summary: Summary, names: Names, question: Any) -> Value:
  """Returns the result in the names of the class that asks."""
  own = {neutral: name for name, neutral in names.names.items()}
  new = {old: own[neutral] for old, neutral in summary.names.items()}
  for name, info in summary.infos.items():
    new[name] = text_of(table.new(name, _meaning(info, name, question)))
  identical = all(old == name for old, name in new.items())

  def change(dim: Dim) -> Dim:
    text = text_of(dim)
    result = dim if identical else parsed(renamed(text, new))
    if text in summary.products:
      factors = tuple(
        parsed(renamed(text_of(part), new)) if is_symbolic(part) else part for part in summary.products[text]
      )
      table.products.setdefault(text_of(result), factors)
    return result

  return _mapped(summary.result, change)


def _meaning(info: SymbolInfo, name: str, question: Any) -> SymbolInfo:
  """A size made inside the call means nothing outside, but the same question has the same one."""
  if info.kind == 'field':
    return info
  return SymbolInfo('opaque', source=f'{name} of {question}')


def _mapped(value: Value, change: Any) -> Value:
  """Returns a copy of a result with every symbolic size changed.

  Raises:
    NoKey: the result holds a module or a function, which has an identity of its own.
  """
  if is_symbolic(value):
    return change(value)
  if isinstance(value, Array):
    dims = tuple(change(dim) if is_symbolic(dim) else dim for dim in value.shape)
    return Array(dims, value.dtype, value.optional)
  if isinstance(value, (tuple, list)):
    return like(value, [_mapped(item, change) for item in value])
  if isinstance(value, dict):
    return {key: _mapped(item, change) for key, item in value.items()}
  if isinstance(value, Structure):
    return Structure(value.source, {name: _mapped(item, change) for name, item in value.fields.items()})
  if isinstance(value, Alternatives):
    return Alternatives(tuple(_mapped(item, change) for item in value.options))
  if isinstance(value, Repeated):
    items = tuple(_mapped(item, change) for item in value.items)
    return Repeated(_mapped(value.element, change), value.loop, items, _mapped(value.length, change))
  if value is None or isinstance(value, (str, int, float, complex, bytes, Unknown, Opaque, External, Late)):
    return value
  raise NoKey
