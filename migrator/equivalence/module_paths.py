"""Which Linen module is which NNX module, also for modules without variables, such as Dropout.

The class's construction program is run over the real NNX model: what is there
decides how often a loop ran and which side of a branch was taken.  A module
that cannot be placed is left out; whoever needs it then says so.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from migrator.manifest import Branch, ClassMap, Loop, Manifest, Member, Submodule

LinenPath = tuple[str, ...]
NnxPath = tuple[str | int, ...]
MOST_ROUNDS = 10_000


def module_paths(model: Any, manifest: Manifest, class_name: str,
                 linen_paths: Iterable[LinenPath]) -> dict[LinenPath, NnxPath]:
  """Returns the NNX path of every Linen module that can be placed.

  Args:
    model: the NNX model.
    class_name: its entry in the manifest.
    linen_paths: known paths of Linen modules and variables (without collection); they fill the
      templates of names computed in loops.
  """
  known = {path[:size] for path in linen_paths for size in range(len(path) + 1)}
  found: dict[LinenPath, NnxPath] = {(): ()}
  _Scope((), (), model, manifest, known, found).read(manifest.classes[class_name])
  return found


class _Scope:
  """One module whose members are being placed."""

  def __init__(self, linen: LinenPath, nnx: NnxPath, node: Any, manifest: Manifest, known: set[LinenPath],
               found: dict[LinenPath, NnxPath]):
    self.linen, self.nnx, self.node = linen, nnx, node
    self.manifest, self.known, self.found = manifest, known, found
    self.numbers: Counter[str] = Counter()
    self.positions: Counter[tuple[str, ...]] = Counter()
    self.templates: Counter[str] = Counter()
    self.taken: set[NnxPath] = set()

  def read(self, entry: ClassMap) -> None:
    self._members(entry.members)

  def _members(self, members: Sequence[Member]) -> None:
    for member in members:
      if isinstance(member, Loop):
        self._loop(member)
      elif isinstance(member, Branch):
        self._branch(member)
      elif isinstance(member, Submodule):
        self._submodule(member)

  def _loop(self, loop: Loop) -> None:
    for _ in range(MOST_ROUNDS):
      before = len(self.taken)
      self._members(loop.body)
      if len(self.taken) == before:
        return

  def _branch(self, branch: Branch) -> None:
    body = next((body for body in branch.bodies if body and all(self._fits(member) for member in body)), ())
    self._members(body)

  def _fits(self, member: Member) -> bool:
    """Tells whether a member of a branch is there, with the class it says."""
    if not isinstance(member, Submodule):
      return True
    path = self._nnx_path(member, '')
    node = _at(self.node, path)
    return path not in self.taken and node is not None and _is_of(node, member.cls)

  def _submodule(self, member: Submodule) -> None:
    name, value = self._linen_name(member)
    path = self._nnx_path(member, value)
    node = _at(self.node, path)
    if node is None or path in self.taken:
      return
    self._advance(member)
    self.taken.add(path)
    if name is None or member.transparent:
      return
    linen, nnx = (*self.linen, *name), (*self.nnx, *path)
    self.found[linen] = nnx
    entry = self._entry(node, member.cls)
    if entry is not None:
      _Scope(linen, nnx, node, self.manifest, self.known, self.found).read(entry)

  def _linen_name(self, member: Submodule) -> tuple[LinenPath | None, str]:
    """Returns the Linen path of the next such member, and what a template in it stands for."""
    if member.linen is None:
      prefix = member.auto or ''
      return (None, '') if prefix == '?' else ((f'{prefix}_{self.numbers[prefix]}',), '')
    template = next((part for part in member.linen if '{' in part), None)
    if template is None:
      return member.linen, ''
    matches = self._matches(template)
    position = self.templates[template]
    if position >= len(matches):
      return None, ''
    name, value = matches[position]
    return tuple(name if part == template else part for part in member.linen), value

  def _matches(self, template: str) -> list[tuple[str, str]]:
    pattern = re.compile('(.+)'.join(map(re.escape, re.split(r'\{[^}]*\}', template))))
    size = len(self.linen)
    names = {path[size] for path in self.known if len(path) > size and path[:size] == self.linen}
    found = [(name, match[1]) for name in names if (match := pattern.fullmatch(name))]
    return sorted(found, key=lambda item: [int(part) if part.isdecimal() else part
                                           for part in re.split(r'(\d+)', item[0])])

  def _nnx_path(self, member: Submodule, value: str) -> NnxPath:
    parts: list[str | int] = []
    for k, part in enumerate(member.nnx):
      if part == '*':
        parts.append(self.positions[member.nnx[:k]])
      else:
        parts.append(value if part == '{}' else part)
    return tuple(parts)

  def _advance(self, member: Submodule) -> None:
    if member.auto is not None:
      self.numbers[member.auto] += 1
    for part in member.linen or ():
      self.templates[part] += 1
    for k, part in enumerate(member.nnx):
      if part == '*':
        self.positions[member.nnx[:k]] += 1

  def _entry(self, node: Any, cls: str | None) -> ClassMap | None:
    actual = f'{type(node).__module__}:{type(node).__qualname__}'
    return self.manifest.classes.get(actual) or self.manifest.classes.get(cls or '')


def _at(node: Any, path: NnxPath) -> Any:
  """Returns what lies at a path below a module, or None."""
  for part in path:
    if isinstance(part, int) or (isinstance(part, str) and part.isdecimal()):
      node = node[int(part)] if hasattr(node, '__len__') and int(part) < len(node) else None
    else:
      node = getattr(node, part, None)
  return node


def _is_of(node: Any, cls: str | None) -> bool:
  """Tells whether an NNX module may be what a Linen class became; unknown classes always may."""
  if cls is None:
    return True
  if ':' in cls:
    return f'{type(node).__module__}:{type(node).__qualname__}' == cls
  from rewrites.registry import layer_for
  record = layer_for(cls)
  return record is None or record.nnx.rsplit('.', 1)[-1] == type(node).__name__
