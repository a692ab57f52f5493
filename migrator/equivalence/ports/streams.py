"""Which NNX module draws what a Linen module draws, also for modules without weights, such as Dropout."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flax import nnx

from migrator.equivalence.nnx_keys import own_streams
from migrator.equivalence.ports.matching import resolve
from migrator.equivalence.ports.tree import USER, Node, Path
from migrator.weights import nnx_leaves

LinenPath = tuple[str, ...]


def place(model: nnx.Module, owners: Iterable[LinenPath],
          modules: Mapping[LinenPath, Path]) -> dict[LinenPath, Path]:
  """Returns the NNX path of every Linen module that draws and can be placed.

  Args:
    model: the NNX model.
    owners: Linen modules that draw keys, in the order of drawing.
    modules: the modules that hold weights.

  A module without weights belongs to the next module around it that has some.  There it is the only
  one that draws, or names tell, or the order of drawing is that of the attributes.
  """
  owners = list(dict.fromkeys(owners))
  found = {path: modules[path] for path in owners if path in modules}
  taken = set(modules.values())
  drawing = list(dict.fromkeys(nnx_leaves.plain(owner) for owner, *_ in own_streams(model)))
  drawing.sort(key=lambda path: _declared(model, path))
  idle = [path for path in drawing if path not in taken]
  for scope in dict.fromkeys(_around(path, modules) for path in owners if path not in found):
    linen = [path for path in owners if path not in found and _around(path, modules) == scope]
    nnx_paths = [path for path in idle if _around(path, taken) == modules[scope]]
    found |= _paired(linen, nnx_paths, len(scope), len(modules[scope]))
  return found


def _around(path: Path, known: Any) -> Any:
  return next(path[:size] for size in range(len(path), -1, -1) if path[:size] in known)


def _paired(linen: list[LinenPath], nnx_paths: list[Path], depth: int, other: int) -> dict[LinenPath, Path]:
  if len(nnx_paths) == 1:
    return dict.fromkeys(linen, nnx_paths[0])
  if len(nnx_paths) != len(linen):
    return {}
  ones = [Node(path, path[depth:], USER, ()) for path in linen]
  others = [Node(path, path[other:], USER, ()) for path in nnx_paths]
  pairs, (left, right) = resolve(ones, others)
  return {tuple(map(str, one.path)): two.path for one, two in [*pairs, *zip(left, right, strict=True)]}


def _declared(model: Any, path: Path) -> tuple[int, ...]:
  """Sort key: the position of each part among the attributes of its module, in the order they were set."""
  places = []
  node = model
  for part in path:
    if isinstance(part, int):
      places.append(part)
      node = node[part]
    else:
      names = list(node) if isinstance(node, Mapping) else list(vars(node))
      places.append(names.index(part) if part in names else len(names))
      node = node[part] if isinstance(node, Mapping) else getattr(node, part)
  return tuple(places)


def rename(model: nnx.Module, draws: Iterable[tuple[LinenPath, str]], modules: Mapping[LinenPath, Path]) -> None:
  """Gives streams the names Linen draws by: a module may keep a fork of the only stream it was given.

  model: changed in place.
  """
  wanted: dict[Path, set[str]] = {}
  for path, name in draws:
    if path in modules:
      wanted.setdefault(modules[path], set()).add(name)
  held: dict[Path, list[nnx.RngStream]] = {}
  for owner, _, _, stream in own_streams(model):
    held.setdefault(nnx_leaves.plain(owner), []).append(stream)
  for owner, names in wanted.items():
    streams = held.get(owner, [])
    if len(names) == len(streams) == 1:
      streams[0].tag = names.pop()
