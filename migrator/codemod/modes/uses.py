"""How a method uses its train flags: to tell layers and other methods of the mode, or for something else."""

from __future__ import annotations

import ast
import dataclasses

from .flags import Flag, Reading, may_be_flag
from .kinds import Kind
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
  layers: list[Kind]
  flags: frozenset[Flag]
  uneven: bool


@dataclasses.dataclass(eq=False)
class Uses:
  """The flags of one method.

  aliases: local variables that only repeat a flag, with the statement; told: what is told to layers and methods.
  missing: flags of methods that a call does not give, with the call; hidden: flags that stars may give.
  stored: flags that the method assigns.
  """

  found: Found
  flags: dict[str, Flag]
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
    if not isinstance(node, ast.Name):
      return None
    if node.id in self.aliases:
      inner = self.aliases[node.id][0]
      return Reading(inner.flag, inner.negated != negated)
    flag = self.flags.get(node.id)
    return None if flag is None or flag in self.stored else Reading(flag, negated)

  def others(self, flag: Flag, silent: set[int]) -> list[ast.Name]:
    """Returns the places where the method reads a flag for more than to tell the mode.

    silent: ids of expressions that go.  A variable that only repeats the flag counts where it is used itself.
    """
    found = [node for node in self.names(flag) if id(node) not in silent]
    while True:
      words = {node.id for node in found}
      rest = [node for node in found if id(node) not in self.unread(words)]
      if len(rest) == len(found):
        return rest
      found = rest

  def unread(self, words: set[str]) -> set[int]:
    """Returns the ids of everything in statements that set a variable nothing reads.  words: what is read."""
    dead = [statement for name, (_, statement) in self.aliases.items() if name not in words]
    return {id(node) for statement in dead for node in ast.walk(statement)}

  def names(self, flag: Flag) -> list[ast.Name]:
    """Returns the places where the method reads a flag, by its own name or by a variable that repeats it."""
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


def read_uses(found: Found, flags: dict[str, Flag], families: dict[str, str], all_flags: frozenset[Flag]) -> Uses:
  """Reads one method.  all_flags: the parameters of all methods that may be flags."""
  uses = Uses(found, flags)
  stored = [node.id for node in ast.walk(found.node) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
  uses.stored = {flags[name] for name in stored if name in flags}
  for statement in found.node.body:
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
      continue
    target, reading = statement.targets[0], uses.reading(statement.value)
    if isinstance(target, ast.Name) and reading is not None and stored.count(target.id) == 1 and target.id not in flags:
      uses.aliases[target.id] = reading, statement
  for site in found.sites:
    _read_site(uses, site, families, all_flags)
  return uses


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
