"""Items of Orbax before 0.5: a flax msgpack file `checkpoint` holds the tree.

Its leaves are 'PLACEHOLDER://name' where the array lies beside it, one directory or one OCDBT entry per
name; arrays may also lie in the file itself, as flax.training.checkpoints wrote them.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from migrator.checkpoints import expressions, names
from migrator.checkpoints.checkpoint import Checkpoint
from migrator.checkpoints.errors import DAMAGED, CheckpointError
from migrator.checkpoints.layouts import flax_msgpack, orbax, orbax_tree

NAME = 'orbax'
FILE = 'checkpoint'
_MARK = 'PLACEHOLDER://'


def recognises(path: Path) -> bool:
  """Whether the folder has the file that later versions no longer write."""
  return path.is_dir() and (path / FILE).is_file()


def read(path: Path) -> Checkpoint:
  """Opens an item.  Raises CheckpointError where an array that the file names is not there."""
  tree = flax_msgpack.read_tree(path / FILE)
  marked = {leaf: text[len(_MARK):] for leaf, text in _texts(tree, ()) if text.startswith(_MARK)}
  if not marked:
    return Checkpoint(path, NAME, tree)
  wrong = [names.shown(leaf) for leaf, name in marked.items() if name != '.'.join(leaf)]
  if wrong:
    raise CheckpointError(f'{path}: its file {FILE} points to arrays of other names; {DAMAGED}', wrong)
  found = _beside(path, list(marked))
  missing = sorted(names.shown(leaf) for leaf in marked if leaf not in found)
  if missing:
    raise CheckpointError(f'{path}: arrays that its file {FILE} points to are not there; {DAMAGED}', missing)
  return Checkpoint(path, NAME, _filled(tree, (), {leaf: found[leaf] for leaf in marked}))


def _beside(path: Path, leaves: list[tuple[str, ...]]) -> Mapping[tuple[str, ...], expressions.Expression]:
  """The arrays that lie beside the file; the first versions wrote no `_METADATA`."""
  if (path / orbax.TREE).is_file():
    return orbax.read(path).leaves()
  return {leaf: expressions.source(leaf, array) for leaf, array in orbax.arrays(path, _described(path, leaves)).items()}


def _described(path: Path, leaves: list[tuple[str, ...]]) -> orbax_tree.Tree:
  names.refuse(leaves)
  made = tuple(orbax_tree.Leaf(leaf, (2,) * len(leaf), 'jax.Array', True) for leaf in leaves)
  return orbax_tree.Tree(made, {}, (path / 'manifest.ocdbt').is_file(), False, True, {}, {})


def _texts(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
  children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
  for name, child in children:
    yield from _texts(child, (*path, str(name)))
  if isinstance(node, str):
    yield path, node


def _filled(node: Any, path: tuple[str, ...], found: Mapping[tuple[str, ...], Any]) -> Any:
  if isinstance(node, dict):
    return {name: _filled(child, (*path, name), found) for name, child in node.items()}
  if isinstance(node, list):
    return [_filled(child, (*path, str(position)), found) for position, child in enumerate(node)]
  return found.get(path, node)
