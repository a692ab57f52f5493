"""Which files of a repository have to be parsed."""
from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.source.files import SourceFile
from migrator.source.flax_names import is_linen_name
from migrator.source.modules import SourceModule
from migrator.source.names import absolute_name, resolve_dots

if TYPE_CHECKING:
  from migrator.source.project import Project


def relevant_modules(project: Project) -> tuple[list[str], frozenset[str]]:
  """Reads the modules that matter.

  First the files whose text mentions Flax or Linen; then, until nothing new comes, those that mention a Linen
  thing offered by a module read before; last the project modules that these import, and those of their bases.

  Returns:
    the names of the modules, and the names of those whose text may use Linen.
  """
  waiting = dict(sorted(project.index.files.items()))
  using = _read(project, waiting, [name for name, file in waiting.items() if _mentions_flax(file)])
  offers: dict[str, frozenset[bytes]] = {}
  new = using or _below_other_files(project, waiting)
  using = new
  while new:
    _collect_offers(project, new, offers)
    offering = [(module, offers[module.name]) for module in new if offers[module.name]]
    found = [name for name, file in waiting.items() if any(_may_use(file, *offer) for offer in offering)]
    new = _read(project, waiting, found) or _below_other_files(project, waiting)
    using = using + new
  imported = _imported(project, using)
  may_use = {module.name for module in using}
  may_use |= {name for name in imported - may_use if _unselected_user(project, name, offers)}
  return sorted({module.name for module in using} | imported), frozenset(may_use)


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
  """Adds to `offers` the names in each new module that are Linen things, also the star-imported ones."""
  for module in new:
    names = (name for name in module.bindings if _is_linen(project, project.resolve(module, name)))
    offers[module.name] = frozenset(name.encode() for name in names)
  changed = True
  while changed:
    changed = False
    for module in new:
      gained = offers[module.name].union(*_star_offers(project, module, offers))
      changed = changed or gained != offers[module.name]
      offers[module.name] = gained


def _star_offers(project: Project, module: SourceModule,
                 offers: dict[str, frozenset[bytes]]) -> list[set[bytes]]:
  """Returns what each star import of `module` brings of the offers known so far."""
  found = []
  for star in module.stars:
    target = project.find_module(absolute_name(star, module) or '', module)
    source = project.module(target) if target in offers else None
    if source is not None:
      found.append({name for name in offers[source.name] if source.is_public(name.decode())})
  return found


def _is_linen(project: Project, name: str | None) -> bool:
  if is_linen_name(name) or name == 'flax':
    return True
  found = project.find_class(name)
  return found is not None and found.is_linen


def _may_use(file: SourceFile, module: SourceModule, names: frozenset[bytes]) -> bool:
  """Returns whether the text of `file` leaves it possible that it imports one of `names` from `module`."""
  tail = module.name.rpartition('.')[2].encode()
  # `from . import x` does not say the name of the package.
  if not names.isdisjoint(file.words) and (b'import' if module.is_package else tail) in file.words:
    return True
  tails = (tail, b'') if module.is_package else (tail,)
  return any(star.rpartition(b'.')[2] in tails for star in file.stars)


def _unselected_user(project: Project, name: str, offers: dict[str, frozenset[bytes]]) -> bool:
  """Whether a module outside the given paths may use Linen; those inside were asked before."""
  file = project.index.file(name)
  if file is None or file.listed:
    return False
  modules = ((project.module(other), names) for other, names in offers.items() if names)
  return _mentions_flax(file) or any(
    _may_use(file, module, names) for module, names in modules if module is not None)


def _below_other_files(project: Project, waiting: dict[str, SourceFile]) -> list[SourceModule]:
  """Takes the modules whose classes get to Linen only through files outside the given paths."""
  asking = [name for name, file in waiting.items()
            if b'class ' in file.data and _imports_others(project, file)]
  found = []
  for name in asking:
    module = project.module(name)
    if module is not None and any(item.is_linen for item in project.classes_in(module)):
      del waiting[name]
      found.append(module)
  return found


def _imports_others(project: Project, file: SourceFile) -> bool:
  """Whether the text imports a project module that was not among the given paths."""
  for dots, name in file.imports:
    absolute = resolve_dots(dots.decode(), name.decode(), file.package)
    found = None if absolute is None else project.index.find(absolute, file.package)
    other = None if found is None else project.index.file(found)
    if other is not None and not other.listed:
      return True
  return False


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
