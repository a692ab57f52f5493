"""Both sources of the classes of each case, for a report that outlives the work tree of the old revision."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from migrator.equivalence import Case
from migrator.manifest import Manifest, Submodule, every

Files = dict[str, tuple[str, str]]


def read_sources(cases: Sequence[Case], manifest: Manifest, linen: Path, nnx: Path) -> Mapping[str, Files]:
  """Returns, for every case, the files of its model's class and of the classes inside it: (Linen, NNX) by name."""
  return {case.name: {file: (_text(linen / file), _text(nnx / file)) for file in files_of(case.model, manifest)}
          for case in cases}


def files_of(model: str, manifest: Manifest) -> list[str]:
  """Returns the files of a class and of the classes it builds, the model's first."""
  found: list[str] = []
  waiting, seen = [model], {model}
  while waiting:
    entry = manifest.classes.get(waiting.pop(0))
    if entry is None:
      continue
    found += [entry.file] if entry.file not in found else []
    inside = {member.cls for member in every(entry.members) if isinstance(member, Submodule) and member.cls}
    waiting += sorted(inside - seen)
    seen |= inside
  return found


def _text(file: Path) -> str:
  try:
    return file.read_text(encoding='utf-8', errors='replace')
  except OSError:
    return ''
