"""How a method uses its train flags: to tell layers and other methods of the mode, or for something else."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator

from .flags import ATTRIBUTES, Flag, Reading, may_be_flag
from .kinds import Kind, is_own
from .sites import Found, Site
from .texts import Written, given, parameters


@dataclasses.dataclass(eq=False)
class Told:
  """An argument that tells a layer or a method the mode.

  node: its value; reading: the flag it is, if it is nothing else.
  layers: the layers; flags: the parameters of the methods that may run.
  uneven: something else may be called there, for which it is another argument.
  """

  site: Site
  node: ast.expr
  reading: Reading | None
  layers: list[Kind] | list[Built]
  flags: frozenset[Flag]
  uneven: bool


@dataclasses.dataclass(eq=False)
class Uses:
  """The flags of one method.

  fields: flags that are attributes of the class, in other methods than the constructor.
  merged: statements that merge a field with the argument of its name, with both flags.
  doubtful: flags that may be None, or that the constructor decides by.
  aliases: local variables that only repeat a flag, with the statement; told: what is told to layers and methods.
  missing: flags of methods that a call does not give, with the call; hidden: flags that stars may give.
  stored: flags that the method assigns.
  """

  found: Found
  flags: dict[str, Flag]
  fields: dict[str, Flag] = dataclasses.field(default_factory=dict)
  merged: list[tuple[ast.Assign, Flag, Flag]] = dataclasses.field(default_factory=list)
  doubtful: dict[Flag, str] = dataclasses.field(default_factory=dict)
  aliases: dict[str, tuple[Reading, ast.Assign]] = dataclasses.field(default_factory=dict)
  told: list[Told] = dataclasses.field(default_factory=list)
  missing: list[tuple[Flag, Site]] = dataclasses.field(default_factory=list)
  hidden: list[tuple[Flag, Site]] = dataclasses.field(default_factory=list)
  stored: set[Flag] = dataclasses.field(default_factory=set)

  def reading(self, node: ast.AST) -> Reading | None:
    """Returns the flag that an expression is; None where it is anything else."""
    negated = False
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
      node, negated = node.operand, not negated
    if isinstance(node, ast.Attribute):
      return Reading(self.fields[node.attr], negated) if self.is_field(node) else None
    if not isinstance(node, ast.Name):
      return None
    if node.id in self.aliases:
      inner = self.aliases[node.id][0]
      return Reading(inner.flag, inner.negated != negated)
    flag = self.flags.get(node.id)
    return None if flag is None or flag in self.stored else Reading(flag, negated)

  def is_field(self, node: ast.AST) -> bool:
    """Tells whether an expression is a field that is a flag: `self.deterministic`."""
    return is_own(node, self.found.scope.receiver) and node.attr in self.fields  # type: ignore[attr-defined]

  def others(self, flag: Flag, silent: set[int]) -> list[ast.Name | ast.Attribute]:
    """Returns the places where the method reads a flag for more than to tell the mode.

    silent: ids of expressions that go.  A variable that only repeats the flag counts where it is used itself.
    """
    found = [node for node in self.names(flag) if id(node) not in silent]
    while True:
      words = {node.id for node in found if isinstance(node, ast.Name)}
      rest = [node for node in found if id(node) not in self.unread(words)]
      if len(rest) == len(found):
        return rest
      found = rest

  def unread(self, words: set[str]) -> set[int]:
    """Returns the ids of everything in statements that set a variable nothing reads.  words: what is read."""
    dead: list[ast.stmt] = [statement for name, (_, statement) in self.aliases.items() if name not in words]
    dead += [statement for statement, _, _ in self.merged]
    dead += [statement for statement in ast.walk(self.found.node) if self._keeps_field(statement)]  # type: ignore[misc]
    return {id(node) for statement in dead for node in ast.walk(statement)}

  def _keeps_field(self, statement: ast.AST) -> bool:
    """`self.train = train` in the constructor."""
    return (
      self.found.name == '__init__'
      and isinstance(statement, ast.Assign)
      and is_own(statement.targets[0], self.found.scope.receiver)
      and isinstance(statement.value, ast.Name)
      and statement.value.id == statement.targets[0].attr  # type: ignore[attr-defined]
      and statement.value.id in self.flags
    )

  def keeping(self, flag: Flag) -> list[ast.stmt]:
    """Returns the statements of the constructor that only keep a flag as an attribute."""
    return [
      item for item in self.found.node.body
      if self._keeps_field(item) and item.value.id == flag.name  # type: ignore[attr-defined]
    ]

  def names(self, flag: Flag) -> list[ast.Name | ast.Attribute]:
    """Returns the places where the method reads a flag, by its own name or by a variable that repeats it."""
    if flag in self.fields.values() and flag not in self.flags.values():
      return [
        node for node in ast.walk(self.found.node)
        if isinstance(node, ast.Attribute) and self.is_field(node) and node.attr == flag.name and isinstance(node.ctx, ast.Load)
      ]
    words = {flag.name} | {name for name, (reading, _) in self.aliases.items() if reading.flag == flag}
    return [
      node
      for node in ast.walk(self.found.node)
      if isinstance(node, ast.Name) and node.id in words and isinstance(node.ctx, ast.Load)
    ]


def possible_flags(found: Found, family: str) -> dict[str, Flag]:
  """Returns the parameters of a method that may be flags, by name."""
  inner = _inner_parameters(found.node)
  return {
    item.arg: Flag(family, found.name, item.arg)
    for item, default in parameters(found.node)
    if may_be_flag(item.annotation, default) and item.arg not in inner
  }


def read_uses(
  found: Found, flags: dict[str, Flag], fields: dict[str, Flag], families: dict[str, str], all_flags: frozenset[Flag]
) -> Uses:
  """Reads one method.  fields: of its class; all_flags: the parameters of all methods that may be flags."""
  uses = Uses(found, flags, {} if found.name == '__init__' else fields)
  stored = [node.id for node in ast.walk(found.node) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
  uses.stored = {flags[name] for name in stored if name in flags}
  for statement in found.node.body:
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
      continue
    target, reading = statement.targets[0], uses.reading(statement.value)
    merges = _merges(uses, statement.value)
    if isinstance(target, ast.Name) and merges is not None and stored.count(target.id) == 1:
      uses.merged.append((statement, *merges))
      uses.stored.discard(merges[0])
      if target.id not in flags:
        uses.aliases[target.id] = Reading(merges[0], False), statement
      elif flags[target.id] != merges[0]:
        uses.merged.pop()
    elif isinstance(target, ast.Name) and reading is not None and stored.count(target.id) == 1 and target.id not in flags:
      uses.aliases[target.id] = reading, statement
  for site in found.sites:
    _read_site(uses, site, families, all_flags)
  if found.name == '__init__':
    for call, keyword in fixed_modes(found):
      site = Site(found.owner, found.name, call, [], [])
      uses.told.append(Told(site, keyword.value, uses.reading(keyword.value), [Built(keyword.arg or '')], frozenset(), False))
  _doubts(uses)
  return uses


@dataclasses.dataclass(frozen=True)
class Built:
  """A layer as the constructor builds it.  mode: the argument that says whether it trains."""

  mode: str


def fixed_modes(init: Found) -> Iterator[tuple[ast.Call, ast.keyword]]:
  """Yields the layers that a constructor builds with a mode of their own."""
  for node in ast.walk(init.node):
    if not isinstance(node, ast.Call) or init.scope.kinds(node.func):
      continue
    other = isinstance(node.func, ast.Attribute) and node.func.attr in ('__init__', 'lazy_init')
    if other or init.scope.modules.made(init.owner.name, node.func) is not None:
      continue
    for keyword in node.keywords:
      if keyword.arg in ATTRIBUTES and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None):
        yield node, keyword


def _merges(uses: Uses, node: ast.AST) -> tuple[Flag, Flag] | None:
  """`merge_param('train', self.train, train)`: the flag of the method and that of the field."""
  if not isinstance(node, ast.Call) or len(node.args) != 3 or node.keywords:
    return None
  name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, 'attr', '')
  both = node.args[1:]
  own = next((item for item in both if isinstance(item, ast.Name) and item.id in uses.flags), None)
  field = next((item for item in both if isinstance(item, ast.Attribute) and uses.is_field(item)), None)
  if name != 'merge_param' or own is None or field is None:
    return None
  return uses.flags[own.id], uses.fields[field.attr]


def _doubts(uses: Uses) -> None:
  """What compares a flag with None, or stores one that may be None, needs the argument."""
  merged = {flag for _, flag, _ in uses.merged}
  for node in ast.walk(uses.found.node):
    if isinstance(node, ast.Compare) and any(isinstance(item, ast.Constant) and item.value is None for item in node.comparators):
      reading = uses.reading(node.left)
      left = uses.flags.get(node.left.id) if isinstance(node.left, ast.Name) else None
      for flag in {reading.flag if reading is not None else None, left} - {None}:
        uses.doubtful[flag] = 'it may be None'  # type: ignore[index]
  for flag in uses.flags.values():
    default = next((value for item, value in parameters(uses.found.node) if item.arg == flag.name), None)
    if flag in uses.stored and isinstance(default, ast.Constant) and default.value is None and flag not in merged:
      uses.doubtful[flag] = 'it may be None'


def _read_site(uses: Uses, site: Site, families: dict[str, str], all_flags: frozenset[Flag]) -> None:
  arguments: dict[int, tuple[ast.expr, set[Flag], list[Kind], list[Written]]] = {}
  for target, method in site.targets:
    node = target.methods[method]
    values = given(site.node, node)
    for item, _ in parameters(node):
      flag = Flag(families[target.name], method, item.arg)
      if flag not in all_flags:
        continue
      if values is None:
        uses.hidden.append((flag, site))
      elif item.arg not in values:
        uses.missing.append((flag, site))
      else:
        value = values[item.arg]
        row = arguments.setdefault(id(value), (value, set(), [], []))
        row[1].add(flag)
        row[3].append(target)
  for kind in site.layers:
    value_told = layer_argument(site.node, kind)
    if value_told is not None:
      arguments.setdefault(id(value_told), (value_told, set(), [], []))[2].append(kind)
  for value, flags, layers, targets in arguments.values():
    uneven = site.others or len(layers) + len(targets) < len(site.layers) + len(site.targets)
    uses.told.append(Told(site, value, uses.reading(value), layers, frozenset(flags), uneven))


def layer_argument(call: ast.Call, kind: Kind) -> ast.expr | None:
  """Returns what a call tells a layer about the mode."""
  if kind.mode is None:
    return None
  named = next((item.value for item in call.keywords if item.arg == kind.mode), None)
  place = kind.position()
  if named is None and place is not None and place < len(call.args):
    return call.args[place]
  return named


def _inner_parameters(method: ast.FunctionDef) -> set[str]:
  return {
    item.arg
    for node in ast.walk(method)
    if isinstance(node, (ast.FunctionDef, ast.Lambda)) and node is not method
    for item in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
  }
