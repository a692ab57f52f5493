"""Decides which train flags go: all that every call in the repository keeps in step with the mode of its caller."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable

from .flags import DETERMINISTIC, RUNNING, Flag, polarity_of_name
from .uses import Told, Uses


@dataclasses.dataclass
class Decision:
  """What becomes of the flags.

  training: flag -> whether True means training; kept: flags that stay arguments, with the reason.
  reach: the attributes that decide what a flag decided, for flags that go; own: the attribute its class reads itself.
  """

  training: dict[Flag, bool]
  kept: dict[Flag, str] = dataclasses.field(default_factory=dict)
  reach: dict[Flag, frozenset[str]] = dataclasses.field(default_factory=dict)
  own: dict[tuple[str, Flag], str] = dataclasses.field(default_factory=dict)

  def goes(self, flag: Flag) -> bool:
    return flag in self.training and flag not in self.kept

  def keep(self, flag: Flag, reason: str) -> bool:
    """Lets a flag stay an argument; returns whether that is news."""
    if not self.goes(flag):
      return False
    self.kept[flag] = reason
    return True


def decide(uses: list[Uses], escapes: Iterable[tuple[str, str | None, str]], taken: dict[tuple[str, str], str]) -> Decision:
  """Decides about the flags of all methods.

  escapes: (family, method or None, why) of modules that go out of sight.
  taken: (family, attribute) -> why a class of the family cannot have this attribute.
  """
  decision = Decision({})
  _polarities(decision, uses)
  for family, method, why in escapes:
    for flag in list(decision.training):
      if flag.family == family and method in (None, flag.method):
        decision.keep(flag, why)
  for item in uses:  # a field that is merged with an argument is None where no class gives it
    item.missing = [row for row in item.missing if row[0] not in {field for other in uses for _, _, field in other.merged}]
  while True:
    while any(_settle(decision, item) for item in uses):
      pass
    _reach(decision, uses)
    if not (_overlap(decision, uses) or _taken(decision, taken)):
      return decision


def _polarities(decision: Decision, uses: list[Uses]) -> None:
  """Follows what True means from the layers to the flags that reach them; names tell the rest."""
  links: dict[Flag, list[tuple[Flag, bool]]] = {}
  pending: list[tuple[Flag, bool]] = []
  for item in uses:
    for told in item.told:
      if told.reading is None:
        continue
      flag, negated = told.reading.flag, told.reading.negated
      if told.layers:
        pending.append((flag, negated))
      for other in told.flags:
        links.setdefault(flag, []).append((other, negated))
        links.setdefault(other, []).append((flag, negated))
    for _, flag, field in item.merged:
      links.setdefault(flag, []).append((field, False))
      links.setdefault(field, []).append((flag, False))
  everything = {flag for item in uses for flag in item.flags.values()}
  pending.sort()
  named = sorted((flag, meaning) for flag in everything if (meaning := polarity_of_name(flag.name)) is not None)
  for start in (pending, named):
    waiting = list(start)
    while waiting:
      flag, training = waiting.pop(0)
      if flag in decision.training:
        if decision.training[flag] != training:
          decision.keep(flag, 'it means training in one place and evaluation in another')
        continue
      decision.training[flag] = training
      waiting += [(other, training != negated) for other, negated in links.get(flag, [])]


def _settle(decision: Decision, uses: Uses) -> bool:
  """Keeps the flags of methods that a method does not call in its own mode; returns whether there were any."""
  news = []
  where = f'{uses.found.owner.node.name}.{uses.found.name}'
  for flag, site in uses.missing:
    if decision.goes(flag):
      news.append(decision.keep(flag, f'{where} calls {uses.found.owner.line(site.node)} without it'))
  for flag, site in uses.hidden:
    news.append(decision.keep(flag, f'{where} gives arguments with * or **: {uses.found.owner.line(site.node)}'))
  for flag, reason in uses.doubtful.items():
    news.append(decision.keep(flag, reason))
  for _, flag, field in uses.merged:
    if not (decision.goes(flag) and decision.goes(field)):
      news.append(decision.keep(flag, f'the field {field.name} stays: {decision.kept.get(field, "it is no flag")}'))
      news.append(decision.keep(field, f'the argument of {flag.method} stays: {decision.kept.get(flag, "it is no flag")}'))
  if uses.found.name == '__init__':
    gone = silent(decision, uses)
    for flag in uses.flags.values():
      if decision.goes(flag) and (flag in uses.stored or uses.others(flag, gone)):
        news.append(decision.keep(flag, 'the constructor decides by it'))
  for told in uses.told:
    why = _differs(decision, told, where)
    if why is not None:
      news += [decision.keep(flag, why) for flag in told.flags]
  return any(news)


def _differs(decision: Decision, told: Told, where: str) -> str | None:
  """Returns why a value told to methods is not the mode of the caller, or cannot be left out."""
  if not told.flags:
    return None
  text = told.site.owner.line(told.node)
  if told.reading is None or not decision.goes(told.reading.flag):
    return f'{where} gives it {text}'
  training = decision.training[told.reading.flag] != told.reading.negated
  if any(decision.goes(flag) and decision.training[flag] != training for flag in told.flags):
    return f'{where} gives it {text}, which means the opposite'
  if not all(decision.goes(flag) for flag in told.flags):
    return f'{where} calls it together with modules that keep it'
  if told.uneven:
    return f'{where} may call something else there that takes it: {told.site.owner.line(told.site.node)}'
  return None


def leaves(decision: Decision, told: Told) -> bool:
  """Tells whether an argument that tells the mode goes."""
  if told.reading is None or not decision.goes(told.reading.flag):
    return False
  training = decision.training[told.reading.flag] != told.reading.negated
  if told.uneven or told.layers and training:
    return False  # or a layer that trains where the flag says evaluation
  return all(decision.goes(flag) and decision.training[flag] == training for flag in told.flags)


def silent(decision: Decision, uses: Uses) -> set[int]:
  """Returns the ids of all expressions of a method that go since they tell the mode."""
  return {id(node) for told in uses.told if leaves(decision, told) for node in ast.walk(told.node)}


def _reach(decision: Decision, uses: list[Uses]) -> None:
  direct: dict[Flag, set[str]] = {}
  links: list[tuple[Flag, Flag]] = []
  owners: list[tuple[str, Flag]] = []
  for item in uses:
    for told in item.told:
      if told.reading is None or not leaves(decision, told):
        continue
      direct.setdefault(told.reading.flag, set()).update(kind.mode or '' for kind in told.layers)
      links += [(told.reading.flag, flag) for flag in told.flags]
    links += [(field, flag) for _, flag, field in item.merged if decision.goes(field)]
    gone = silent(decision, item)
    for flag in {*item.flags.values(), *item.fields.values()}:
      if decision.goes(flag) and (flag in item.stored or item.others(flag, gone)):
        owners.append((item.found.owner.name, flag))
  reach = {flag: set(direct.get(flag, ())) for flag in decision.training if decision.goes(flag)}
  _spread(reach, links)
  decision.own = {
    (name, flag): RUNNING if (reach[flag] or {flag.name}) == {RUNNING} else DETERMINISTIC for name, flag in owners
  }
  for (_, flag), attribute in decision.own.items():
    reach[flag].add(attribute)
  _spread(reach, links)
  decision.reach = {flag: frozenset(found) for flag, found in reach.items()}


def _spread(reach: dict[Flag, set[str]], links: list[tuple[Flag, Flag]]) -> None:
  while True:
    before = sum(map(len, reach.values()))
    for flag, other in links:
      reach[flag] |= reach.get(other, set())
    if before == sum(map(len, reach.values())):
      return


def _overlap(decision: Decision, uses: list[Uses]) -> bool:
  """Two flags of one method that decide the same layers cannot both be the mode."""
  news = False
  for item in uses:
    flags = sorted(flag for flag in {*item.flags.values(), *item.fields.values()} if decision.goes(flag))
    pairs = {frozenset(row[1:]) for row in item.merged}
    for flag in flags:
      for other in flags:
        if flag < other and frozenset((flag, other)) not in pairs and decision.reach[flag] & decision.reach[other]:
          news |= decision.keep(flag, f'{item.found.name} takes {other.name} too, and both decide the same')
          news |= decision.keep(other, f'{item.found.name} takes {flag.name} too, and both decide the same')
  return news


def _taken(decision: Decision, taken: dict[tuple[str, str], str]) -> bool:
  news = False
  for (name, flag), attribute in decision.own.items():
    why = taken.get((name, attribute))
    if why is not None:
      news |= decision.keep(flag, why)
  return news

