"""Edits the text of one method: flags leave the signature and the calls, what else reads them reads the mode."""

from __future__ import annotations

import ast

from .decide import Decision, leaves, silent
from .flags import Flag
from .sites import Site
from .texts import parameters, without
from .uses import Uses

_WIDTH = 100
_MANY = 3  # places from which on a variable is set first
_TIGHT = (ast.BinOp, ast.Compare, ast.Attribute, ast.Subscript, ast.UnaryOp, ast.Await)


def rewrite_method(decision: Decision, uses: Uses, more: dict[int, list[str]]) -> None:
  """Registers the edits of one method.  more: arguments that calls take in addition, by the id of the call."""
  gone = silent(decision, uses)
  going = [flag for flag in uses.flags.values() if decision.goes(flag)]
  going += [flag for flag in uses.fields.values() if decision.goes(flag)]
  rest = {flag: uses.others(flag, gone) for flag in going}
  words = {node.id for nodes in rest.values() for node in nodes if isinstance(node, ast.Name)}
  merges = {id(statement) for statement, _, _ in uses.merged}
  for name, (reading, alias) in uses.aliases.items():
    if decision.goes(reading.flag) and name not in words and id(alias) not in merges:
      _delete(uses, alias)
  for statement, flag, _ in uses.merged:
    if decision.goes(flag):
      _merged(decision, uses, statement, flag, words)
  for flag in going:
    for keeping in uses.keeping(flag):
      _delete(uses, keeping)
    _read_mode(decision, uses, flag, rest[flag])
  _calls(decision, uses, more)
  if any(flag in going for flag in uses.flags.values()):
    _signature(uses, [flag for flag in going if flag in uses.flags.values()])


def _merged(decision: Decision, uses: Uses, statement: ast.Assign, flag: Flag, words: set[str]) -> None:
  """`train = merge_param('train', self.train, train)` goes, unless another variable takes it that is read."""
  name = statement.targets[0].id  # type: ignore[attr-defined]
  if name == flag.name or name not in words:
    _delete(uses, statement)
  else:
    text = mode_text(decision, uses.found.owner.name, flag, uses.found.scope.receiver, False)
    uses.found.owner.text.edits.replace(statement.value, text)


def mode_text(decision: Decision, owner: str, flag: Flag, receiver: str, negated: bool) -> str:
  """Returns how a class reads its mode in place of a flag."""
  attribute = f'{receiver}.{decision.own[(owner, flag)]}'
  return attribute if decision.training[flag] == negated else f'not {attribute}'


def _read_mode(decision: Decision, uses: Uses, flag: Flag, nodes: list[ast.Name | ast.Attribute]) -> None:
  found, edits = uses.found, uses.found.owner.text.edits
  receiver = found.scope.receiver
  own = [node for node in nodes if isinstance(node, ast.Attribute) or node.id == flag.name]
  if flag in uses.stored or len(own) >= _MANY and isinstance(own[0], ast.Name):
    body = found.node.body
    first = body[1] if len(body) > 1 and _is_text(body[0]) else body[0]
    start = edits.source.own_start(first)
    indent = edits.source.indent(first)
    text = mode_text(decision, found.owner.name, flag, receiver, False)
    if edits.source.slice(edits.source.line_start(start), start).strip():
      edits.replace_range(start, start, f'{flag.name} = {text}; ')
    else:
      start = edits.source.leading_comments(first, edits.source.line_end(edits.source.own_start(found.node)))
      edits.replace_range(start, start, f'{indent}{flag.name} = {text}\n')
    return
  for node in own:
    parent = found.parents[node]
    negated = isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
    text = mode_text(decision, found.owner.name, flag, receiver, negated)
    outer = parent if negated else node
    around = found.parents[outer]
    tight = isinstance(around, _TIGHT) and not (isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.Not))
    edits.replace(outer, f'({text})' if ' ' in text and tight else text)


def _is_text(statement: ast.stmt) -> bool:
  return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _delete(uses: Uses, statement: ast.stmt) -> None:
  source, edits = uses.found.owner.text.source, uses.found.owner.text.edits
  start, end = source.line_start(source.own_start(statement)), source.line_end(source.end(statement))
  before, after = source.slice(start, source.own_start(statement)), source.slice(source.end(statement), end)
  if before.strip():
    return  # it shares its line; what it sets is no longer read
  if after.strip():
    comment = after.strip()
    if comment.startswith('#'):
      edits.replace_range(start, end, f'{before}{comment}\n')
    elif comment.startswith(';'):
      edits.replace_range(source.own_start(statement), source.end(statement) + after.index(';') + 1 + _spaces(after), '')
    return
  edits.replace_range(start, end, '')


def _spaces(text: str) -> int:
  rest = text[text.index(';') + 1 :]
  return len(rest) - len(rest.lstrip(' '))


def _signature(uses: Uses, flags: list[Flag]) -> None:
  node, edits = uses.found.node, uses.found.owner.text.edits
  names = {flag.name for flag in flags}
  start = edits.source.own_start(node)
  without(edits, start, edits.source.own_start(node.body[0]), [item for item, _ in parameters(node) if item.arg in names])
  _joined(uses, start, edits.source.own_start(node.body[0]))


def _joined(uses: Uses, start: int, end: int) -> None:
  """Puts a signature that was broken into lines and fits into one line now into one line."""
  edits = uses.found.owner.text.edits
  old, new = edits.source.slice(start, end).rstrip(), edits.apply(start, end).rstrip()
  if '\n' not in new or any(sign in new for sign in '#"\''):
    return
  line = ' '.join(new.split()).replace('( ', '(').replace(', )', ')').replace(' )', ')')
  if len(edits.source.indent(uses.found.node)) + len(line) <= _WIDTH and line.endswith(':'):
    edits.replace_range(start, start + len(old.encode()), line)


def _calls(decision: Decision, uses: Uses, more: dict[int, list[str]]) -> None:
  by_call: dict[int, tuple[Site, list[ast.expr]]] = {}
  for site in [*uses.found.sites, *(told.site for told in uses.told)]:
    by_call.setdefault(id(site.node), (site, []))
  for told in uses.told:
    if leaves(decision, told):
      by_call[id(told.site.node)][1].append(told.node)
  source = uses.found.owner.text.source
  for site, nodes in sorted(by_call.values(), key=lambda row: source.end(row[0].node) - source.own_start(row[0].node)):
    if nodes or id(site.node) in more:
      _call(uses, site.node, nodes, more.get(id(site.node), []))


def _call(uses: Uses, call: ast.Call, gone: list[ast.expr], added: list[str]) -> None:
  edits = uses.found.owner.text.edits
  source = edits.source
  items = [next((item for item in call.keywords if item.value is node), node) for node in gone]
  if '#' in source.node(call) and added:
    last = max((source.end(item) for item in (*call.args, *call.keywords)), default=source.end(call) - 1)
    edits.replace_range(last, last, ''.join(f', {text}' for text in added))
  kept = without(edits, source.end(call.func), source.end(call), items)
  if '#' in source.node(call):
    return
  arguments = [*(edits.apply(*extent) for extent in kept), *added]
  line = f'{edits.node(call.func)}({", ".join(arguments)})'
  start = source.own_start(call)
  column = start - source.line_start(start)
  if added or '\n' in source.node(call) and '\n' not in line and column + len(line) <= _WIDTH:
    edits.replace(call, line)
