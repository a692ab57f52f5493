"""Which functions have to be written out where a class calls them."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from migrator.shapes.values import Array, Late
from rewrites.written_out import WRITTEN_OUT

_MADE = ('layer', 'class', 'param', 'variable')
_LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Key(NamedTuple):
  """A function as a class calls it.

  kind: 'local' (a function or lambda in a method), 'module' or 'method'; name: its name, for 'module'
  'package.module:name'; method: the method that a local function stands in.
  """

  kind: str
  name: str
  method: str = ''


class Functions:
  """The functions of a project by their syntax tree."""

  def __init__(self, project: Any) -> None:
    self.module_level = {
      id(node): Key('module', f'{module.name}:{name}')
      for module in project.modules.values()
      for name, node in module.functions.items()
    }
    self.nodes = {
      id(node): node for module in project.modules.values() for node in module.functions.values()
    }
    self._holders: dict[int, int] | None = None

  def holding(self, call: ast.Call) -> int | None:
    """Returns the id of the module-level function that a call stands in."""
    if self._holders is None:
      self._holders = {
        id(child): key for key, node in self.nodes.items() for child in ast.walk(node)
        if isinstance(child, ast.Call)
      }
    return self._holders.get(id(call))


def wanted(source: Any, analysis: Any, functions: Functions) -> set[Key]:
  """Returns the functions whose creations could not become members where they stand."""
  own = {id(method.node): method.name for method in source.own_methods.values()}
  inherited = {id(method.node) for base in source.mro[1:] for method in base.own_methods.values()}
  local = {key: value for method in source.own_methods.values() for key, value in _local(method).items()}
  seen: dict[int, Any] = {}
  found = _of_linen(source) | _with_settings(source, analysis, own)
  for creation in analysis.record.order:
    if creation.kind not in _MADE or id(creation.inside) in inherited:
      continue
    first = seen.setdefault(id(creation.node), creation)
    if id(creation.inside) in own:
      if runs_often(creation, source) or (first is not creation and twice(first, creation, source)):
        found |= _methods_on(creation.chain, own, source)
        found.add(Key('method', own[id(creation.inside)]))
      continue
    key = local.get(id(creation.inside)) or functions.module_level.get(id(creation.inside))
    if key is None:
      continue
    found.add(key)
    for call in creation.chain[1:]:
      found |= _holder(call, local, functions)
  return found


def _of_linen(source: Any) -> set[Key]:
  """Functions of Linen that make parameters for the module they are given."""
  names = {
    source.project.resolve_node(source.module, node.func)
    for method in source.own_methods.values() for node in ast.walk(method.node)
    if isinstance(node, ast.Call) and any(isinstance(item, ast.Name) for item in node.args)
  }
  return {Key('module', name) for name in names & set(WRITTEN_OUT)}


def _with_settings(source: Any, analysis: Any, own: dict[int, str]) -> set[Key]:
  """Methods whose creations depend on what they are called with, other than arrays."""
  found = set()
  for creation in analysis.record.order:
    if creation.kind not in _MADE or not creation.chain or id(creation.inside) not in own:
      continue
    arguments = creation.inside.args
    names = {item.arg for item in (*arguments.args, *arguments.kwonlyargs)[1:]}
    for node in ast.walk(creation.node):
      if isinstance(node, ast.Name) and node.id in names:
        seen = analysis.record.values.get(id(node))
        if seen and not isinstance(seen[-1], (Array, Late)):
          found.add(Key('method', own[id(creation.inside)]))
  return found


def runs_often(creation: Any, source: Any) -> bool:
  """Tells whether a creation is reached through a call that stands in a loop of a method."""
  return any(_in_loop(call, source) for call in creation.chain)


def twice(old: Any, new: Any, source: Any) -> bool:
  """Two ways to one creation are harmless if they start in different public methods."""
  if not old.chain or not new.chain or old.chain == new.chain:
    return False
  starts = [
    {
      name
      for name, method in source.methods.items()
      if method.owner.module.nodes.inside(way.chain[0], method.node)
    }
    for way in (old, new)
  ]
  return not starts[0] or starts[0] == starts[1]


def _in_loop(call: ast.Call, source: Any) -> bool:
  for method in source.methods.values():
    if not method.owner.module.nodes.inside(call, method.node):
      continue
    for loop in ast.walk(method.node):
      if isinstance(loop, _LOOPS) and any(child is call for child in _repeated(loop)):
        return True
  return False


def _repeated(loop: ast.AST) -> Any:
  """Yields what runs in every pass of a loop."""
  if isinstance(loop, (ast.For, ast.While)):
    for statement in loop.body:
      yield from ast.walk(statement)
  else:
    first = loop.generators[0].iter  # type: ignore[attr-defined]
    once = {id(child) for child in ast.walk(first)}
    yield from (child for child in ast.walk(loop) if id(child) not in once)


def _local(method: Any) -> dict[int, Key]:
  found: dict[int, Key] = {}
  for node in ast.walk(method.node):
    if isinstance(node, ast.FunctionDef) and node is not method.node:
      found[id(node)] = Key('local', node.name, method.name)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda) and len(node.targets) == 1:
      target = node.targets[0]
      if isinstance(target, ast.Name):
        found[id(node.value)] = Key('local', target.id, method.name)
  return found


def _holder(call: ast.Call, local: dict[int, Key], functions: Functions) -> set[Key]:
  holder = functions.holding(call)
  return {functions.module_level[holder]} if holder is not None else set()


def _methods_on(chain: tuple[ast.Call, ...], own: dict[int, str], source: Any) -> set[Key]:
  """Methods that the calls behind the first stand in."""
  found = set()
  for call in chain[1:]:
    for method in source.own_methods.values():
      if method.owner.module.nodes.inside(call, method.node):
        found.add(Key('method', method.name))
  return found
