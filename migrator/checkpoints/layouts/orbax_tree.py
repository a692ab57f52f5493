"""The tree of an Orbax item: `_METADATA`, and what the files beside it say of single arrays."""
from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import folder, names
from migrator.checkpoints.errors import DAMAGED, CheckpointError

_SEQUENCE, _DICT = 1, 2
_KINDS = frozenset((_SEQUENCE, _DICT))
_TEXTS = frozenset((str,))
MOST_LEAVES = 5_000_000


@dataclasses.dataclass(frozen=True)
class Leaf:
  """path and key types of an entry; kind: Orbax's value type."""

  path: tuple[str, ...]
  keys: tuple[int, ...]
  kind: str
  is_array: bool


@dataclasses.dataclass(frozen=True)
class Tree:
  """What the metadata files of an item say.

  all_stored: whether every chunk is stored, even one of zeros.  extra, sharding: by array name.
  """

  leaves: tuple[Leaf, ...]
  texts: Mapping[str, str]
  ocdbt: bool
  zarr3: bool
  all_stored: bool
  extra: Mapping[str, Mapping[str, Any]]
  sharding: Mapping[str, str]

  def build(self, array: Callable[[Leaf], Any]) -> Any:
    """Returns the nested tree; sequences are lists, empty ones and empty dicts stay."""
    if len(self.leaves) == 1 and not self.leaves[0].path:
      return _empty(self.leaves[0].kind)
    root = _Node(_DICT)
    for leaf in self.leaves:
      node = root
      for depth, (part, kind) in enumerate(zip(leaf.path, leaf.keys)):
        node.kind = _agreed(node, kind, leaf.path[:depth])
        if depth == len(leaf.path) - 1:
          node.put(part, self._value(leaf, array), leaf.path)
        else:
          node = node.below(part, leaf.path)
    return root.value(())

  def _value(self, leaf: Leaf, array: Callable[[Leaf], Any]) -> Any:
    if leaf.is_array:
      return array(leaf)
    name = '.'.join(leaf.path)
    return self.texts[name] if leaf.kind == 'string' and name in self.texts else _empty(leaf.kind)


class _Node:
  """A level of the tree while it grows."""

  def __init__(self, kind: int | None = None):
    self.kind = kind
    self.children: dict[str, Any] = {}

  def below(self, part: str, path: tuple[str, ...]) -> _Node:
    found = self.children.setdefault(part, _Node())
    if not isinstance(found, _Node):
      raise CheckpointError(f'{names.shown(path)}: a value and a level of the tree have one name; {DAMAGED}')
    return found

  def put(self, part: str, value: Any, path: tuple[str, ...]) -> None:
    if part in self.children:
      raise CheckpointError(f'{names.shown(path)}: stands twice in _METADATA; {DAMAGED}')
    self.children[part] = value

  def value(self, path: tuple[str, ...]) -> Any:
    made = {part: child.value((*path, part)) if isinstance(child, _Node) else child
            for part, child in self.children.items()}
    if self.kind != _SEQUENCE:
      return made
    if any(not part.isdecimal() for part in made) or sorted(map(int, made)) != list(range(len(made))):
      raise CheckpointError(f'{names.shown(path)}: positions of a sequence are missing; {DAMAGED}')
    return [made[part] for part in sorted(made, key=int)]


def _agreed(node: _Node, kind: int, path: tuple[str, ...]) -> int:
  if node.kind not in (None, kind) and path:
    raise CheckpointError(f'{names.shown(path)}: is both a dict and a sequence in _METADATA; {DAMAGED}')
  return kind


def _empty(kind: str) -> Any:
  return {'Dict': {}, 'List': [], 'Tuple': ()}.get(kind)


def read(item: Path) -> Tree:
  """Reads the metadata files of an item.

  Raises:
    CheckpointError: damaged, or names that could lead elsewhere; each is listed.
  """
  content = folder.read_json(item, '_METADATA')
  leaves = _leaves(content, item)
  try:
    ocdbt = content.get('use_ocdbt')
    zarr3 = bool(content.get('use_zarr3'))
    all_stored = bool(content.get('store_array_data_equal_to_fill_value'))
  except (KeyError, TypeError, AttributeError, ValueError) as error:
    raise CheckpointError(f'{item}: its _METADATA is none of Orbax ({error!r}); {DAMAGED}') from error
  is_ocdbt = (item / 'manifest.ocdbt').is_file() if ocdbt is None else bool(ocdbt)
  return Tree(leaves, _optional(item, '_strings.json', dict), is_ocdbt, zarr3, all_stored, _extra(item), _sharding(item))


def array_paths(item: Path) -> set[tuple[str, ...]]:
  """Returns the paths of the arrays that the `_METADATA` of an item of our own lists."""
  return {leaf.path for leaf in _leaves(folder.read_json(item, '_METADATA', own=True), item) if leaf.is_array}


def _leaves(content: Any, item: Path) -> tuple[Leaf, ...]:
  try:
    found = tuple(_leaf(entry) for entry in content['tree_metadata'].values())
  except (KeyError, TypeError, AttributeError, ValueError) as error:
    raise CheckpointError(f'{item}: its _METADATA is none of Orbax ({error!r}); {DAMAGED}') from error
  names.refuse(leaf.path for leaf in found if leaf.path)
  return found


def _leaf(entry: Mapping[str, Any]) -> Leaf:
  keys = entry['key_metadata']
  value = entry['value_metadata']
  path = tuple([key['key'] for key in keys])
  kinds = tuple([key['key_type'] for key in keys])
  kind = value['value_type']
  if not _TEXTS.issuperset(map(type, path)) or not _KINDS.issuperset(kinds) or type(kind) is not str:
    raise ValueError(f'entry {str(path)[:200]}')
  return Leaf(path, kinds, kind, not value['skip_deserialize'] and kind not in ('None', 'Dict', 'List', 'Tuple', 'string'))


def _optional(item: Path, name: str, kind: type) -> Any:
  if not (item / name).is_file():
    return kind()
  found = folder.read_json(item, name)
  if not isinstance(found, kind):
    raise CheckpointError(f'{item}: its {name} is none of Orbax; {DAMAGED}')
  return found


def _extra(item: Path) -> dict[str, Mapping[str, Any]]:
  """Typed random keys and the like, of every process."""
  top = item / 'array_metadatas'
  found: dict[str, Mapping[str, Any]] = {}
  for file in sorted(top.iterdir()) if top.is_dir() else []:
    content = folder.read_json(item, f'array_metadatas/{file.name}')
    try:
      for entry in content['array_metadatas']:
        array = entry['array_metadata']
        if array.get('ext_metadata'):
          found[array['param_name']] = dict(array['ext_metadata'])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise CheckpointError(f'{file}: is none of Orbax ({error!r}); {DAMAGED}') from error
  return found


def _sharding(item: Path) -> dict[str, str]:
  content = _optional(item, '_sharding', dict)
  try:
    return {base64.urlsafe_b64decode(key).decode(): str(value) for key, value in content.items()}
  except (binascii.Error, ValueError) as error:
    raise CheckpointError(f'{item}: its _sharding cannot be read ({error}); {DAMAGED}') from error
