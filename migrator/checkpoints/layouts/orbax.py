"""Orbax items: an OCDBT index over data files, or one directory per array; zarr 2 and zarr 3."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import folder, names, whole, zarr
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.expressions import source
from migrator.checkpoints.layouts import orbax_tree
from migrator.checkpoints.storage import Chunk, Range, Stored, stored

NAME = 'orbax'
TREE = '_METADATA'


def recognises(path: Path) -> bool:
  """Whether the path is an Orbax item, or a folder that holds one or steps of them."""
  if not path.is_dir():
    return False
  return (path / TREE).is_file() or path.name.endswith('.orbax-checkpoint-tmp') or any(
    (child / TREE).is_file() or child.name.isdigit() for child in path.iterdir() if child.is_dir())


def item_of(path: Path) -> Path:
  """Returns the Orbax item in a folder: itself, or the only item of a CheckpointManager step."""
  if path.name.endswith('.orbax-checkpoint-tmp'):
    raise CheckpointError(f'{path}: this is what an interrupted save left behind; take a complete step')
  if (path / TREE).is_file():
    return path
  items = sorted(child for child in path.iterdir() if (child / TREE).is_file())
  if len(items) == 1 and not items[0].name.isdigit():
    return items[0]
  if items:
    raise CheckpointError(f'{path}: several items are here; give one of {", ".join(str(item) for item in items)}')
  steps = sorted((child for child in path.iterdir() if child.is_dir() and child.name.isdigit()),
                 key=lambda child: int(child.name))
  if steps:
    raise CheckpointError(f'{path}: this is a folder of steps; give one of them, such as {steps[-1]}')
  raise CheckpointError(f'{path}: no Orbax checkpoint: it has no _METADATA file; {DAMAGED}')


def read(path: Path) -> Checkpoint:
  """Opens an item, or a step folder with one item.

  Raises:
    CheckpointError: another kind of folder, damage, or names that lead elsewhere; the leaf is named.
  """
  item = item_of(path)
  tree = orbax_tree.read(item)
  found = arrays(item, tree)
  made: Any = tree.build(lambda leaf: source(leaf.path, found[leaf.path]))
  return Checkpoint(item, NAME, made)


def arrays(item: Path, tree: orbax_tree.Tree) -> dict[tuple[str, ...], Stored]:
  """Returns every array of the tree with its chunks; what the tree does not list is ignored, as Orbax does."""
  version = 3 if tree.zarr3 else 2
  wanted = {'.'.join(leaf.path): leaf for leaf in tree.leaves if leaf.is_array}
  if tree.ocdbt:
    from migrator.checkpoints.index import read as index
    keyed = index.entries(item)
    metadata, chunks = _split(keyed, version, wanted)
  else:
    metadata, chunks = _directories(item, version, wanted)
  missing = sorted(set(wanted) - set(metadata))
  if missing:
    raise CheckpointError(f'{item}: arrays of its _METADATA are not there; {DAMAGED}', missing)
  made = {}
  # Layers share their metadata, which is parsed and checked once.
  sound: dict[int, dict[str, Any]] = {}
  for name, leaf in wanted.items():
    key = id(metadata[name])
    checked = sound[key] = sound.get(key) or zarr.checked(version, metadata[name], name)
    made[leaf.path] = stored(version, checked, grids(version, checked, chunks.get(name, {}), name, tree.all_stored),
                             kind=leaf.kind, extra=tree.extra.get(name), sharding=tree.sharding.get(name))
    if not tree.ocdbt:  # nothing but the file itself says how long it should be
      whole.check(made[leaf.path], name)
  return made


def _split(keyed: Mapping[str, Chunk], version: int,
           wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Chunk]]]:
  metadata: dict[str, Any] = {}
  chunks: dict[str, dict[str, Chunk]] = {}
  parsed: dict[bytes, Any] = {}
  for key, chunk in keyed.items():
    name, _, rest = key.partition('/')
    if name not in wanted:
      continue
    if rest == zarr.FILES[version]:
      content = chunk if isinstance(chunk, bytes) else folder.read(chunk.file, chunk.offset, min(chunk.length, 1 << 20))
      if content not in parsed:
        parsed[content] = folder.parse_json(content, name)
      metadata[name] = parsed[content]
    else:
      chunks.setdefault(name, {})[rest] = chunk
  return metadata, chunks


def _directories(item: Path, version: int,
                 wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Chunk]]]:
  metadata: dict[str, Any] = {}
  chunks: dict[str, dict[str, Chunk]] = {}
  top = folder.real(item)
  for name in wanted:
    # Names with a slash were refused with the tree.
    if not os.path.isfile(f'{top}/{name}/{zarr.FILES[version]}'):
      continue
    metadata[name] = folder.read_json(top, f'{name}/{zarr.FILES[version]}')
    found = chunks.setdefault(name, {})
    for relative in files_below(top, name):
      if relative != zarr.FILES[version]:
        try:
          file, size = folder.inside(top, f'{name}/{relative}')
        except CheckpointError as error:
          raise CheckpointError(f'{name}: {error}') from error
        found[relative] = Range(file, 0, size)
  return metadata, chunks


def files_below(root: str, name: str) -> Iterator[str]:
  """Yields the files of one array's folder, as paths below it."""
  top = f'{root}/{name}'
  for place, _, files in os.walk(top):
    for file in sorted(files):
      yield f'{place}/{file}'[len(top) + 1:]


def grids(version: int, metadata: Mapping[str, Any], keyed: Mapping[str, Chunk], name: str,
          all_stored: bool) -> dict[tuple[int, ...], Chunk]:
  """Returns the chunks of an array by their grid index; raises CheckpointError where one is missing or too many."""
  found: dict[tuple[int, ...], Chunk] = {}
  for key, chunk in keyed.items():
    grid = zarr.grid_of(version, metadata, key)
    if grid is None:
      raise CheckpointError(f'{name}: has a chunk {names.shown([key[:80]])!r} that its shape {metadata["shape"]} '
                            f'has no place for; {DAMAGED}')
    found[grid] = chunk
  expected = 1
  for count in zarr.grid_shape(version, metadata):
    expected *= count
  if all_stored and len(found) != expected:
    raise CheckpointError(f'{name}: {len(found)} of its {expected} chunks are there; {DAMAGED}')
  return found
