"""Which files of a repository have to be parsed."""
from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.source.files import SourceFile
from migrator.source.flax_names import is_linen_name
from migrator.source.modules import SourceModule
from migrator.source.names import absolute_name

if TYPE_CHECKING:
  from migrator.source.project import Project


def relevant_modules(project: Project) -> list[str]:
  """Reads the modules that matter, and returns their names.

  First the files whose text mentions Flax or Linen; then, until nothing new comes, those that mention a Linen
  thing offered by a module read before; last the project modules that all these import, and those of their bases.
  """
  waiting = dict(sorted(project.index.files.items()))
  using = _read(project, waiting, [name for name, file in waiting.items() if _mentions_flax(file)])
  offers: dict[str, frozenset[bytes]] = {}
  new = using
  while new:
    _collect_offers(project, new, offers)
    words = [(_import_word(module), offers[module.name]) for module in new if offers[module.name]]
    found = [name for name, file in waiting.items() if any(_mentions(file, *pair) for pair in words)]
    new = _read(project, waiting, found)
    using = using + new
  return sorted({module.name for module in using} | _imported(project, using))


def _read(project: Project, waiting: dict[str, SourceFile], names: list[str]) -> list[SourceModule]:
  """Reads the files `names` and takes them off `waiting`."""
  for name in names:
    del waiting[name]
  modules = [project.module(name) for name in names]
  return [module for module in modules if module is not None]


def _mentions_flax(file: SourceFile) -> bool:
  data = file.data
  return b'flax' in data or b'linen' in data


def _collect_offers(project: Project, new: list[SourceModule], offers: dict[str, frozenset[bytes]]) -> None:
  """Adds to `offers` the names in each new module that are Linen things, its own and the star-imported ones."""
  for module in new:
    names = (name for name in module.bindings if _is_linen(project, project.resolve(module, name)))
    offers[module.name] = frozenset(name.encode() for name in names)
  changed = True
  while changed:
    changed = False
    for module in new:
      gained = offers[module.name].union(*(offers.get(star, ()) for star in _star_sources(project, module)))
      changed = changed or gained != offers[module.name]
      offers[module.name] = gained


def _star_sources(project: Project, module: SourceModule) -> list[str]:
  names = (absolute_name(star, module) for star in module.stars)
  return [project.find_module(name, module) or '' for name in names if name is not None]


def _import_word(module: SourceModule) -> bytes:
  """Returns the word that every import of `module` contains; `from . import x` does not name its package."""
  return b'import' if module.is_package else module.name.rpartition('.')[2].encode()


def _is_linen(project: Project, name: str | None) -> bool:
  if is_linen_name(name) or name == 'flax':
    return True
  found = project.find_class(name)
  return found is not None and found.is_linen


def _mentions(file: SourceFile, word: bytes, names: frozenset[bytes]) -> bool:
  return word in file.words and (b'import *' in file.data or not names.isdisjoint(file.words))


def _imported(project: Project, using: list[SourceModule]) -> set[str]:
  """Reads and names the project modules that the modules `using` import, and those of all their bases."""
  names: set[str] = set()
  for module in using:
    for name, binding in module.bindings.items():
      if binding.kind == 'import':
        resolved = project.resolve(module, name)
        names.add('' if resolved is None else resolved.partition(':')[0])
    names |= {item.module.name for owner in project.classes_in(module) for item in owner.mro}
  return {name for name in names if project.module(name) is not None}
