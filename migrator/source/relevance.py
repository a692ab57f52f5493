"""Which files of a repository have to be parsed."""
from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.source.bindings import Binding
from migrator.source.files import SourceFile
from migrator.source.flax_names import is_linen_name
from migrator.source.modules import SourceModule
from migrator.source.names import absolute_name, resolve_dots

if TYPE_CHECKING:
  from migrator.source.project import Project

_LONGEST_WAY = 8  # modules through which a name is passed on


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
  postponed: dict[str, list[SourceModule]] = {}
  new = using or _below_other_files(project, waiting)
  using = new
  while new:
    offering = {module.name: module for module in (*new, *(item for one in new for item in postponed.pop(one.name, ())))}
    _collect_offers(project, offering, offers, waiting, postponed)
    found = [name for name, file in waiting.items()
             if any(_may_use(file, module, offers[module.name]) for module in offering.values() if offers[module.name])]
    new = _read(project, waiting, found) or _below_other_files(project, waiting)
    using = using + new
  imported = _imported(project, using, offers)
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


def _collect_offers(
  project: Project,
  offering: dict[str, SourceModule],
  offers: dict[str, frozenset[bytes]],
  waiting: dict[str, SourceFile],
  postponed: dict[str, list[SourceModule]],
) -> None:
  """Adds to `offers` the names in each module that are Linen things, also the star-imported ones.

  What a module imports from one that waits is nothing of Linen as long as that one waits.  Then the module is put
  into `postponed` under the name of the other, whose text need not be parsed for it.
  """
  for module in offering.values():
    names = set()
    for name, binding in module.bindings.items():
      sources = _waiting_sources(project, module, binding, waiting)
      for source in sources:
        if module not in postponed.setdefault(source, []):
          postponed[source].append(module)
      if not sources and _is_linen(project, project.resolve(module, name)):
        names.add(name.encode())
    offers[module.name] = frozenset(names)
  changed = True
  while changed:
    changed = False
    for module in offering.values():
      gained = offers[module.name].union(*_star_offers(project, module, offers))
      changed = changed or gained != offers[module.name]
      offers[module.name] = gained


def _waiting_sources(
  project: Project, module: SourceModule, binding: Binding, waiting: dict[str, SourceFile], depth: int = 0
) -> set[str]:
  """Returns the modules that wait among those a name may come from, through modules that pass it on."""
  found: set[str] = set()
  for one in (binding, *binding.others):
    name = absolute_name(one.module, module) if one.module and one.attribute else None
    if name is None or one.attribute is None or depth > _LONGEST_WAY:
      continue
    target = project.find_module(name, None if (one.module or '').startswith('.') else module) or ''
    file, source = waiting.get(target), project.read_before(target)
    if file is not None:
      found.add(target)
    elif source is not None and one.attribute in source.bindings:
      found |= _waiting_sources(project, source, source.bindings[one.attribute], waiting, depth + 1)
  return found


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


def _only_offers(module: SourceModule) -> bool:
  """Whether a package only brings together what its modules define, so that nothing is done with it there."""
  return module.is_package and not module.definitions.scopes


def _imported(project: Project, using: list[SourceModule], offers: dict[str, frozenset[bytes]]) -> set[str]:
  """Reads and names the project modules that those `using` Linen by a name of theirs import, and those of all bases."""
  names: set[str] = set()
  for module in using:
    for name, binding in module.bindings.items() if offers[module.name] and not _only_offers(module) else ():
      if binding.kind == 'import':
        resolved = project.resolve(module, name)
        names.add('' if resolved is None else resolved.partition(':')[0])
    names |= {item.module.name for owner in project.classes_in(module) for item in owner.mro}
  return {name for name in names if project.module(name) is not None}
