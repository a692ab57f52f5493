"""Turns classes that take train flags into classes that follow `model.train()` and `model.eval()`."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from migrator.manifest import ModeFlag
from migrator.shapes.outside import outside_methods

from ..plan import ClassPlan
from .constants import move_constants
from .decide import Decision, decide, silent
from .flags import ATTRIBUTES, Flag, polarity_of_name
from .kinds import Modules, is_own
from .names import rename_fields
from .rewrite import rewrite_method
from .sites import Found, read_method
from .texts import Written, parameters, positions, read_texts
from .uses import Uses, possible_flags, read_uses

_WORDS = re.compile(r'\b[^\W\d]\w*')


def follow_modes(project: Any, plans: Mapping[str, ClassPlan], references: Mapping[str, Any]) -> None:
  """Rewrites the texts of native classes; `plan.modes` says which flags are gone, assumptions why others are not.

  Classes that defeat the tool are left as they are, with all flags as arguments, and their assumptions say so.
  """
  native = [plan for plan in plans.values() if plan.native]
  before = [(plan.text, dict(plan.helpers), plan.outcome, list(plan.assumptions)) for plan in native]
  try:
    _follow(project, plans, references)
  except Exception as error:
    if os.environ.get('LINEN2NNX_DEBUG'):
      raise
    for plan, (text, helpers, outcome, assumptions) in zip(native, before):
      plan.text, plan.helpers, plan.outcome, plan.modes, plan.dropped = text, helpers, outcome, (), set()
      why = f'the tool failed on the train flags ({type(error).__name__}: {error}); they stay arguments; please report it'
      plan.assumptions = [*assumptions, why]


def _follow(project: Any, plans: Mapping[str, ClassPlan], references: Mapping[str, Any]) -> None:
  classes = read_texts(plans)
  modules = Modules(project, classes, _handed(project, classes, references))
  families = _families(classes)
  methods = [read_method(modules, owner, name) for owner in classes.values() for name in _names(owner)]
  flags = {id(found): _flags(found, families) for found in methods}
  everything = frozenset(flag for row in flags.values() for flag in row.values())
  fields = _field_flags(modules, methods, flags)
  uses = [read_uses(found, flags[id(found)], fields[found.owner.name], families, everything) for found in methods]
  handed = {kind.name for kind in modules.handed}
  decision = decide(uses, [*_escapes(modules, methods, families), *_given_away(handed, families)], _taken(modules))
  _report(classes, families, uses, decision)
  _rewrite(modules, families, uses, decision)
  for owner in classes.values():
    owner.plan.modes = _mode_flags(modules, owner, families, decision)
  for text in {id(owner.text): owner.text for owner in classes.values()}.values():
    text.plan.text, before = text.written(), text.plan.text
    text.plan.dropped = set(_WORDS.findall(before)) - set(_WORDS.findall(text.plan.text))
    _drop_helpers(text.plan)
  _refuse_lost_flags(project, read_texts(plans))


def _refuse_lost_flags(project: Any, classes: Mapping[str, Written]) -> None:
  """Reads the result again: no call of a method may give a flag that the method does not take any more."""
  modules = Modules(project, classes, ())
  for owner in classes.values():
    for name in _names(owner):
      for site in read_method(modules, owner, name).sites:
        for target, method in site.targets:
          gone = {row.name for row in target.plan.modes if row.method == method}
          lost = gone & {item.arg for item in site.node.keywords}
          if lost:
            raise ValueError(f'{owner.node.name}.{name} gives {", ".join(sorted(lost))} to {owner.line(site.node)}')


def _drop_helpers(plan: ClassPlan) -> None:
  """Helpers that only the flags needed are not asked for any more."""
  for name in plan.dropped & set(plan.helpers):
    del plan.helpers[name]
  if plan.outcome == 'helper' and not plan.helpers:
    plan.outcome = 'native'


def _names(owner: Written) -> list[str]:
  outside = outside_methods(owner.plan.source)
  return [name for name in owner.methods if name not in outside]


def _flags(found: Found, families: dict[str, str]) -> dict[str, Flag]:
  if found.name == '__init__':
    own = found.owner.plan.source.fields
    rows = possible_flags(found, families[found.owner.name])
    return {name: flag for name, flag in rows.items() if name in own and polarity_of_name(name) is not None}
  special = found.name.startswith('__') and found.name != '__call__'
  if special or _decorated(found) or not found.scope.receiver:
    return {}
  return possible_flags(found, families[found.owner.name])


def _decorated(found: Found) -> bool:
  """Tells whether something else may call a method with the arguments it is written with."""
  names = [ast.unparse(item).rpartition('.')[2] for item in found.node.decorator_list]
  return any(name not in ('abstractmethod', 'override', 'nowrap') for name in names)


def _field_flags(modules: Modules, methods: list[Found], flags: dict[int, dict[str, Flag]]) -> dict[str, dict[str, Flag]]:
  """Returns for every class the fields, inherited ones included, that may be flags and that no method sets."""
  stored = {
    (found.owner.name, node.attr)
    for found in methods
    if found.name != '__init__'
    for node in ast.walk(found.node)
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
  }
  own = {found.owner.name: flags[id(found)] for found in methods if found.name == '__init__'}
  result: dict[str, dict[str, Flag]] = {}
  for name in modules.classes:
    found_fields: dict[str, Flag] = {}
    for other in modules.mro(name):
      found_fields |= own.get(other, {})
    set_again = {attribute for other, attribute in stored if other in modules.related(name)}
    result[name] = {field: flag for field, flag in found_fields.items() if field not in set_again}
  return result


def _given_away(handed: set[str], families: dict[str, str]) -> Iterable[tuple[str, str | None, str]]:
  for name in sorted(handed):
    yield families[name], '__init__', 'the class is given away as a value'


def _families(classes: Mapping[str, Written]) -> dict[str, str]:
  """Returns for every class the one that stands for all that inherit from each other."""
  head = {name: name for name in classes}

  def find(name: str) -> str:
    return name if head[name] == name else find(head[name])

  for name, owner in classes.items():
    for base in owner.plan.source.mro[1:]:
      if base.name in head:
        first, second = sorted((find(name), find(base.name)))
        head[second] = first
  return {name: find(name) for name in classes}


def _handed(project: Any, classes: Mapping[str, Written], references: Mapping[str, Any]) -> set[str]:
  """Returns the classes that are given to other classes as values."""
  found: set[str] = set()
  for owner in classes.values():
    source = owner.plan.source
    called = {id(node.func) for node in ast.walk(owner.node) if isinstance(node, ast.Call)}
    bases = {id(node) for node in owner.node.bases}
    for node in ast.walk(owner.node):
      if isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in called | bases:
        name = source.project.resolve(source.module, ast.unparse(node)) if _is_chain(node) else None
        if name is not None:
          found.add(name)
  for read in references.values():
    for reference in read.all():
      first = reference.parents[0]
      if reference.member is None and not (isinstance(first, ast.Call) and first.func is reference.node):
        found.add(reference.plan.name)
  return {name for name in found if name in classes}


def _is_chain(node: ast.AST) -> bool:
  while isinstance(node, ast.Attribute):
    node = node.value
  return isinstance(node, ast.Name)


def _escapes(modules: Modules, methods: list[Found], families: dict[str, str]) -> Iterable[tuple[str, str | None, str]]:
  for name in sorted(modules.outside):
    if name in families:
      yield families[name], None, 'its instances are given to other modules, which call them'
  for found in methods:
    if _decorated(found):
      yield families[found.owner.name], found.name, f'{found.owner.node.name}.{found.name} is decorated'
    for name, method, why in found.escapes:
      yield families[name], method, why


def _taken(modules: Modules) -> dict[tuple[str, str], str]:
  """Returns the attributes that classes have already, for another purpose."""
  found = {}
  for name, owner in modules.classes.items():
    for attribute in ATTRIBUTES:
      source = owner.plan.source
      others = [modules.classes[other] for other in modules.related(name)]
      if any(attribute in other.plan.source.methods for other in others):
        found[(name, attribute)] = f'{source.node.name} has a method {attribute}'
      elif any(modules.attributes[other.name].get(attribute) for other in others):
        found[(name, attribute)] = f'{source.node.name} has a module {attribute}'
  return found


def _rewrite(modules: Modules, families: dict[str, str], uses: list[Uses], decision: Decision) -> None:
  more: dict[int, list[str]] = {}
  gone = set().union(*(silent(decision, item) for item in uses))
  spelled = rename_fields(modules, families, [item.found for item in uses], decision)
  for owner in modules.classes.values():
    own = [item.found for item in uses if item.found.owner is owner]
    related = modules.related(owner.name) - {owner.name}
    inherited = [item.found for item in uses if item.found.owner.name in related]
    added, notes = move_constants(owner, own, inherited, gone, spelled[owner.name])
    more |= added
    owner.plan.assumptions += notes
  for item in uses:
    rewrite_method(decision, item, more)
  for owner in modules.classes.values():
    for attribute in sorted({attribute for (name, _), attribute in decision.own.items() if name == owner.name}):
      _set_first(owner, attribute, decision.goes(Flag(families[owner.name], '__init__', attribute)))


def _set_first(owner: Written, attribute: str, field: bool) -> None:
  """Writes `self.deterministic = False` behind the fields of the constructor.  field: a field of this name goes."""
  init = owner.methods['__init__']
  edits = owner.text.edits
  receiver = init.args.args[0].arg
  if not field and any(is_own(node, receiver) and node.attr == attribute and isinstance(node.ctx, ast.Store)  # type: ignore[attr-defined]
         for node in ast.walk(init)):
    return
  place: ast.stmt | None = None
  for statement in init.body:
    called = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith('super().__init__')
    field = isinstance(statement, ast.Assign) and is_own(statement.targets[0], receiver) and isinstance(statement.value, ast.Name)
    if not (called or field):
      break
    place = statement
  line = f'{receiver}.{attribute} = False  # train() and eval() set it'
  first = init.body[0]
  if isinstance(first, ast.Pass):
    edits.replace(first, line)
  elif place is None:
    start = edits.source.leading_comments(first, edits.source.line_start(edits.source.own_start(init)) + 1)
    edits.replace_range(start, start, f'{edits.source.indent(first)}{line}\n')
  else:
    end = edits.source.line_end(edits.source.end(place))
    edits.replace_range(end, end, f'{edits.source.indent(place)}{line}\n')


def _mode_flags(modules: Modules, owner: Written, families: dict[str, str], decision: Decision) -> tuple[ModeFlag, ...]:
  """Returns the flags of Linen's methods that are gone, inherited ones included."""
  found = []
  for method in sorted({name for other in modules.mro(owner.name) for name in modules.classes[other].methods}):
    home = modules.classes[next(other for other in modules.mro(owner.name) if method in modules.classes[other].methods)]
    node = home.methods[method]
    for item, default in parameters(node):
      flag = Flag(families[owner.name], method, item.arg)
      if not decision.goes(flag):
        continue
      order, training = positions(node), decision.training[flag]
      merged = decision.goes(Flag(flag.family, '__init__', flag.name))
      value = getattr(default, 'value', None)
      if value is None and default is not None and training and not merged:
        value = False  # a method that is given None does not train
      found.append(ModeFlag(
        item.arg, method, order.index(item.arg) if item.arg in order else None, training,
        tuple(sorted(decision.reach[flag])), default is None, value,
      ))
  return tuple(found)


def _report(classes: Mapping[str, Written], families: dict[str, str], uses: list[Uses], decision: Decision) -> None:
  for item in uses:
    for flag in item.flags.values():
      why = decision.kept.get(flag)
      named = polarity_of_name(flag.name) is not None
      if why is not None and (named or flag in decision.training):
        what = 'a field' if flag.method == '__init__' else f'an argument of {flag.method}'
        text = f'{flag.name} stays {what}: {why}'
        if text not in item.found.owner.plan.assumptions:
          item.found.owner.plan.assumptions.append(text)
