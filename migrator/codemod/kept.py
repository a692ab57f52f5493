"""Classes that the user keeps Linen: by a comment, by the given paths, by --select and --ignore."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Collection, Iterator
from typing import Any

from migrator.report.findings import Finding

from .options import Options


@dataclasses.dataclass(frozen=True)
class Kept:
  """Why a class stays Linen although it could be NNX; frozen: not a letter of it may change."""

  reason: str
  frozen: bool = False


def kept_classes(project: Any, modules: Collection[str], options: Options) -> dict[str, Kept]:
  """Returns the Linen classes of some modules that the user keeps Linen, with the reasons."""
  found = {}
  for name, source in project.classes.items():
    if source.is_linen and source.module.name in modules:
      kept = _commented(source) or _unwanted(source, options)
      if kept is not None:
        found[name] = kept
  return found


def is_selected(name: str, options: Options) -> bool:
  """Tells whether --select and --ignore leave a class ('package.module:Class') to be migrated."""
  chosen = not options.select or any(matches(name, pattern) for pattern in options.select)
  return chosen and not any(matches(name, pattern) for pattern in options.ignore)


def matches(name: str, pattern: str) -> bool:
  """Tells whether a pattern means a class: 'zoo.vit:ViT', 'zoo.*:*' and the name alone, as in 'ViT*'."""
  whole = pattern if ':' in pattern else f'*:{pattern}'
  return fnmatch.fnmatchcase(name, whole)


def _commented(source: Any) -> Kept | None:
  skips = source.module.skips
  if skips.file is not None:
    return Kept(f'its file has the comment `linen2nnx: skip` (line {skips.file})', True)
  if not skips:
    return None
  line = skips.comment_in(source.node) or skips.comment_over(source.module.nodes.around(source.node))
  return None if line is None else Kept(f'it has the comment `linen2nnx: skip` (line {line})', True)


def _unwanted(source: Any, options: Options) -> Kept | None:
  if not source.module.selected:
    return Kept('its file is outside of the given paths')
  return None if is_selected(source.name, options) else Kept('it is not selected (--select, --ignore)')


def frozen_at(module: Any, node: Any) -> int | None:
  """Returns the line of the comment that keeps an expression or statement of a module as it is, or None."""
  if not module.skips:
    return None
  line: int | None = module.skips.comment_over((node, *module.nodes.around(node)))
  return line


def skip_findings(module: Any) -> Iterator[Finding]:
  """Yields a note for every comment that is honoured outside of Linen classes."""
  if module.skips.file is not None:
    yield Finding(module.relative, module.skips.file, 'skipped', 'the file is left as it is, as the comment says', 'note')
    return
  for line in sorted(set(module.skips.lines.values())):
    yield Finding(module.relative, line, 'skipped', 'left as it is, as the comment says', 'note')
