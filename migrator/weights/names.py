"""Names within one module: automatic numbers, templates, list positions, dict keys."""
from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from typing import Protocol

from migrator.manifest import ClassMap, Leaf, Manifest, Submodule, every
from migrator.weights.leaf_map import NnxPath, show
from migrator.weights.trees import LinenTree, NnxTree, template_values, text
from migrator.weights.walk_state import Path, State
from rewrites.record import Layer

UNKNOWN = '?'
_NUMBERED = re.compile('(.+)_([0-9]+)')


class Place(Protocol):
  """The module being read: its Linen path, its NNX path, its class."""

  @property
  def linen(self) -> Path: ...
  @property
  def nnx(self) -> NnxPath: ...
  @property
  def entry(self) -> ClassMap: ...


@dataclasses.dataclass(frozen=True)
class Found:
  """The Linen path of a member below its module.  values: of the placeholders in its template.

  unnamed: why the name cannot be told; the path is then only good for messages.
  """

  path: Path
  values: Path = ()
  unnamed: str | None = None


def place(prefix: NnxPath, parts: Path, state: State, values: Path,
          advance: bool = True) -> tuple[NnxPath, State]:
  """Returns the NNX path of a member and the state after it.

  A last '*' is the next position of its list; a '*' with parts behind it is the element
  that this iteration fills.  advance: False to refer to elements without adding one.
  """
  path, left = prefix, list(values[-sum('{}' in part for part in parts):] if values else ())
  positions, current = dict(state.positions), dict(state.current)
  for depth, part in enumerate(parts):
    if part == '*':
      last = depth == len(parts) - 1
      if advance and (last or path not in current):
        current[path] = positions.get(path, 0)
        positions[path] = current[path] + 1
      path = (*path, current.get(path, 0))
    elif '{}' in part and left:
      path = (*path, part.replace('{}', left.pop(0)))
    else:
      path = (*path, int(part) if part.isascii() and part.isdigit() else part)
  return path, state.with_(positions=positions, current=current)


def submodule(member: Submodule, scope: Place, state: State, linen: LinenTree | None,
              nnx: NnxTree | None) -> Iterator[tuple[Found, State]]:
  """Yields the Linen names the member may have here, each with the state after taking it."""
  if member.linen is not None:
    yield _explicit(member.linen, member.nnx, scope, state, linen, nnx, None), state
    return
  prefix = member.auto or ''
  if prefix != UNKNOWN:
    yield _automatic(prefix, scope, state, linen)
    return
  if member.transparent:
    yield Found((UNKNOWN,)), state
    return
  if linen is None:
    yield Found((UNKNOWN,), unnamed=f'the Linen name of {show(member.nnx)} is only known at run time; '
                                    'give the Linen tree as a template'), state
    return
  candidates = [name for name in sorted(linen.names.get(scope.linen, ())) if _is_next(name, scope, state)]
  for name in candidates:
    yield _automatic(name.rpartition('_')[0], scope, state, linen)
  yield Found((UNKNOWN,)), state


def leaf(member: Leaf, scope: Place, state: State, linen: LinenTree | None, nnx: NnxTree | None) -> Found:
  """Returns the Linen name of a variable of the class itself."""
  return _explicit((member.linen,), member.nnx, scope, state, linen, nnx, member.collection)


def class_of(member: Submodule, linen: Path, manifest: Manifest) -> str | None:
  """Returns the class of a member; one only known at run time is looked up by its automatic name."""
  if member.cls is not None or member.auto != UNKNOWN:
    return member.cls
  stem = linen[-1].rpartition('_')[0]
  own = [name for name in manifest.classes if name.split(':')[1].rpartition('.')[2] == stem]
  return own[0] if len(own) == 1 else None if own else f'flax.linen.{stem}'


def all_parameters_optional(record: Layer) -> bool:
  """Whether every parameter of the layer can be switched off, so that it may leave no trace in a tree."""
  arguments = {argument.linen for argument in record.arguments}
  return record.collections == ('params',) and {'use_scale', 'use_bias'} <= arguments


def later_element(nnx: NnxPath, tree: NnxTree | None) -> bool:
  """Whether the list that holds this element has a later one."""
  if tree is None or not isinstance(nnx[-1], int):
    return False
  names = tree.names.get(text(nnx[:-1]), ())
  return any(name.isdigit() and int(name) > nnx[-1] for name in names)


def _automatic(prefix: str, scope: Place, state: State, linen: LinenTree | None) -> tuple[Found, State]:
  number = state.counters.get(prefix, 0)
  after = state.with_(counters={**state.counters, prefix: number + 1})
  found = Found((f'{prefix}_{number}',))
  if linen is None or linen.has((*scope.linen, *found.path)):
    return found, after
  numbers = [int(match[2]) for name in linen.names.get(scope.linen, ())
             if (match := _NUMBERED.fullmatch(name)) and match[1] == prefix]
  return found, after.with_(gaps=after.gaps + any(later > number for later in numbers))


def _is_next(name: str, scope: Place, state: State) -> bool:
  match = _NUMBERED.fullmatch(name)
  if match is None or (None, *scope.linen, name) in state.consumed or name in explicit_names(scope.entry):
    return False
  return int(match[2]) == state.counters.get(match[1], 0)


def _explicit(parts: Path, nnx_parts: Path, scope: Place, state: State, linen: LinenTree | None,
              nnx: NnxTree | None, collection: str | None) -> Found:
  if not any('{}' in part for part in parts):
    return Found(parts)
  if linen is None:
    return _from_key(parts, nnx_parts, scope, state, nnx, collection)
  found = list(_expand(parts, scope, linen, scope.linen, ()))
  unnamed = None
  if '*' in nnx_parts:
    numbered = [item for item in found if all(value.isdigit() for value in item.values)]
    if not numbered and len(found) > 1:
      listed = ', '.join(show(item.path) for item in found)
      unnamed = (f'{show(scope.linen) or "the root"}: the order of {listed} in the list {show(nnx_parts)} '
                 'cannot be told from their names; make it a dict, or name the elements by number')
    found = numbered or found
  free = [item for item in found if (collection, *scope.linen, *item.path) not in state.consumed]
  return dataclasses.replace(free[0], unnamed=unnamed) if free else Found(parts)


def _from_key(parts: Path, nnx_parts: Path, scope: Place, state: State, nnx: NnxTree | None,
              collection: str | None) -> Found:
  """The Linen name from the key of an nnx.Dict; list positions do not tell a name."""
  keyed = [depth for depth, part in enumerate(nnx_parts) if '{}' in part]
  if nnx is None or len(keyed) != 1 or '*' in nnx_parts or sum(part.count('{}') for part in parts) != 1:
    return Found(parts, unnamed=f'the Linen name {show(parts)} of NNX {show((*scope.nnx, *nnx_parts))} '
                                'cannot be told from NNX alone; give the Linen tree as a template')
  node = (*text(scope.nnx), *nnx_parts[:keyed[0]])
  for name, values in template_values(nnx_parts[keyed[0]], nnx.names.get(node, ())).items():
    whole = (collection, *node, name, *nnx_parts[keyed[0] + 1:])
    if whole not in state.consumed:
      return Found(tuple(part.replace('{}', values[0]) for part in parts), values)
  return Found(parts)


def _expand(parts: Path, scope: Place, linen: LinenTree, node: Path, values: Path) -> Iterator[Found]:
  if not parts:
    yield Found(node[len(scope.linen):], values)
    return
  if '{}' not in parts[0]:
    yield from _expand(parts[1:], scope, linen, (*node, parts[0]), values)
    return
  for name, more in template_values(parts[0], linen.names.get(node, ())).items():
    if node != scope.linen or not _belongs_elsewhere(name, parts[0], scope.entry):
      yield from _expand(parts[1:], scope, linen, (*node, name), (*values, *more))


def _belongs_elsewhere(name: str, template: str, entry: ClassMap) -> bool:
  """Whether another member of the class names this more exactly: 'block_{}_norm' beats 'block_{}'."""
  others = [other for other in explicit_names(entry)
            if len(other.replace('{}', '')) > len(template.replace('{}', ''))]
  return any(template_values(other, [name]) for other in others)


@functools.lru_cache(maxsize=4096)
def explicit_names(entry: ClassMap) -> frozenset[str]:
  """Returns the explicit first names and templates of a class's members."""
  members = list(every(entry.members))
  variables = [member.linen for member in members if isinstance(member, Leaf)]
  return frozenset(variables + [member.linen[0] for member in members
                                if isinstance(member, Submodule) and member.linen])
